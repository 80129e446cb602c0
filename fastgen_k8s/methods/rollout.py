"""The student at work: a few steps from noise to a clip, at once or chunk by chunk on a past of its own or a clean one.

Self-Forcing trains on what a rollout gives, sampling keeps it (Huang et al. 2025, arXiv 2506.08009, alg. 1; the
multi-step student of whole clips is DMD2's, Yin et al. 2024, arXiv 2405.14867, sec. 4.5).
"""

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from fastgen_k8s.diffusion.chunks import chunk_sizes, chunk_slices
from fastgen_k8s.diffusion.draws import Draws
from fastgen_k8s.diffusion.schedule import add_noise, flow_to_eps, flow_to_x0, pure_noise
from fastgen_k8s.experiments.method import DistributionMatchingSettings, Rollout
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.networks.network import Condition, KVCache, Network, flow, x0


def rollout(
    student: Network,
    eps: Tensor,
    condition: Condition,
    model: Model,
    draws: Draws,
    how: Rollout,
    *,
    exits: Sequence[int],
    gradient_from: int = 0,
) -> Tensor:
    """A clip [B, C, T, H, W] from noise `eps` of that shape.

    Chunk k takes the steps 0..exits[k] of t_list and ends with its last x0. Only that last step has a gradient, and
    only in chunks that begin at the frame `gradient_from` or later. `sde` re-noises x0 to the next time
    with fresh noise, `ode` with the noise that the prediction implies.
    """
    fresh = draws.normal("renoise", (model.steps - 1, *eps.shape[1:])) if how.renoise == "sde" else None
    cache = None if model.chunk_size is None else KVCache()
    clean, schedule = list[Tensor](), student.schedule
    for exit_step, frames in zip(exits, chunk_slices(sizes(model, eps.shape[2])), strict=True):
        x_t = pure_noise(eps[:, :, frames], model.times[0], schedule)
        with torch.no_grad():
            for step in range(exit_step):
                t = _times(x_t, model.times[step])
                v = flow(student, x_t, t, condition, cache=cache)
                noise = flow_to_eps(v, x_t, t, schedule) if fresh is None else fresh[:, step, :, frames]
                x_t = add_noise(flow_to_x0(v, x_t, t, schedule), noise, _times(x_t, model.times[step + 1]), schedule)
        with torch.set_grad_enabled(torch.is_grad_enabled() and frames.start >= gradient_from):
            clean.append(x0(student, x_t, _times(x_t, model.times[exit_step]), condition, cache=cache))
        if cache is not None and frames.stop < eps.shape[2]:
            _remember(student, clean[-1], condition, cache, draws, how)
    return torch.cat(clean, dim=2)


@torch.no_grad()
def sample(student: Network, eps: Tensor, condition: Condition, model: Model, draws: Draws, how: Rollout) -> Tensor:
    """A clip [B, C, T, H, W] from noise `eps`, with every step of t_list and without gradient."""
    last = (model.steps - 1,) * len(sizes(model, eps.shape[2]))
    return rollout(student, eps, condition, model, draws, how, exits=last)


def flow_on_clean_past(
    network: Network, x_t: Tensor, t: Tensor, clean: Tensor, condition: Condition, sizes: Sequence[int]
) -> Tensor:
    """The flow [B, C, T, H, W] of every chunk at x_t and times t [B, T], given the clean frames before that chunk.

    The past is written to a cache at t = 0, as a rollout does it, but with gradient: the loss of a chunk reaches what
    the network makes of its past.
    """
    cache, flows, unused = KVCache(), list[Tensor](), x_t.new_zeros(())
    for frames in chunk_slices(sizes):
        flows.append(flow(network, x_t[:, :, frames], t[:, frames], condition, cache=cache))
        if frames.stop < x_t.shape[2]:
            zero = torch.zeros_like(t[:, frames])
            written = flow(network, clean[:, :, frames], zero, condition, cache=cache, write=True)
            # FSDP2 gathers a block's weights for the backward pass when a gradient reaches the block's output. The last
            # block is left through its keys and values only, so its output gets a gradient of zero.
            unused = unused + 0 * written.mean()
    return torch.cat(flows, dim=2) + unused


def sizes(model: Model, frames: int) -> tuple[int, ...]:
    """Frames per chunk of a clip: one chunk for a bidirectional student."""
    return (frames,) if model.chunk_size is None else chunk_sizes(frames, model.chunk_size)


def draw_exits(settings: DistributionMatchingSettings, steps: int, chunks: int, draws: Draws) -> tuple[int, ...]:
    """The step at which each chunk stops: one draw for the whole global batch, per chunk if the settings say so.

    It never depends on the slot: ranks that took different numbers of steps would wait for each other's collectives.
    """
    if settings.exit_sampling == "last":
        return (steps - 1,) * chunks
    bounds = list(accumulate(settings.exit_weights or (1.0,) * steps))
    streams = ["exit" if settings.same_step_across_blocks else f"exit/{chunk}" for chunk in range(chunks)]
    return tuple(min(bisect(bounds, draws.shared_uniform(stream) * bounds[-1]), steps - 1) for stream in streams)


@torch.no_grad()
def _remember(student: Network, x0: Tensor, condition: Condition, cache: KVCache, draws: Draws, how: Rollout) -> None:
    """Write a finished chunk to the cache, as clean or noised to `context_noise`."""
    t = _times(x0, how.context_noise)
    if how.context_noise > 0:
        x0 = add_noise(x0, draws.normal(f"context/{cache.frames}", x0.shape[1:]), t, student.schedule)
    flow(student, x0, t, condition, cache=cache, write=True)


def _times(x: Tensor, t: float) -> Tensor:
    return torch.full((len(x),), t, dtype=torch.float64, device=x.device)
