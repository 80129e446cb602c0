"""The student at work: a few steps from noise to a clip, at once or chunk by chunk with a KV cache.

Self-Forcing trains on what it gives, sampling keeps it (Huang et al. 2025, arXiv 2506.08009, alg. 1; the multi-step
student of whole clips is DMD2's, Yin et al. 2024, arXiv 2405.14867, sec. 4.5).
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Literal

import torch
from torch import Tensor

from fastgen_k8s.diffusion.chunks import chunk_sizes, chunk_slices
from fastgen_k8s.diffusion.draws import Draws
from fastgen_k8s.diffusion.schedule import add_noise, flow_to_eps, flow_to_x0
from fastgen_k8s.experiments.method import DistributionMatchingSettings
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.networks.network import Condition, KVCache, Network, flow

Renoise = Literal["sde", "ode"]


def rollout(
    student: Network,
    eps: Tensor,
    condition: Condition,
    model: Model,
    draws: Draws,
    *,
    exits: Sequence[int],
    renoise: Renoise,
    context_noise: float,
    gradient_from: int | None = 0,
) -> Tensor:
    """A clip [B, C, T, H, W] from noise `eps` of that shape.

    Chunk k takes the steps 0..exits[k] of t_list and ends with its last x0. Only that last step has a gradient, and
    only in chunks that begin at the frame `gradient_from` or later (None: in none). `sde` re-noises x0 to the next time
    with fresh noise, `ode` with the noise that the prediction implies.
    """
    fresh = draws.normal("renoise", (model.steps - 1, *eps.shape[1:])) if renoise == "sde" else None
    cache = None if model.chunk_size is None else KVCache()
    clean = list[Tensor]()
    chunks = chunk_slices(sizes(model, eps.shape[2]))
    for exit_step, frames in zip(exits, chunks, strict=True):
        noise = None if fresh is None else fresh[:, :, :, frames]
        learns = gradient_from is not None and frames.start >= gradient_from
        x0 = _denoise(student, eps[:, :, frames], condition, model.t_list, cache, noise, exit_step, learns)
        clean.append(x0)
        if cache is not None and frames.stop < eps.shape[2]:
            _remember(student, x0, condition, cache, draws, context_noise)
    return torch.cat(clean, dim=2)


def sample(
    student: Network,
    eps: Tensor,
    condition: Condition,
    model: Model,
    draws: Draws,
    *,
    renoise: Renoise = "sde",
    context_noise: float = 0.0,
) -> Tensor:
    """A clip [B, C, T, H, W] from noise `eps`, with every step of t_list and without gradient."""
    with torch.no_grad():
        last = (model.steps - 1,) * len(sizes(model, eps.shape[2]))
        return rollout(
            student,
            eps,
            condition,
            model,
            draws,
            exits=last,
            renoise=renoise,
            context_noise=context_noise,
            gradient_from=None,
        )


def sizes(model: Model, frames: int) -> tuple[int, ...]:
    """Frames per chunk of a clip: one chunk for a bidirectional student."""
    return chunk_sizes(frames, model.chunk_size or frames)


def draw_exits(settings: DistributionMatchingSettings, steps: int, chunks: int, draws: Draws) -> tuple[int, ...]:
    """The step at which each chunk stops: one draw for the whole global batch, per chunk if the settings say so.

    It never depends on the slot: ranks that took different numbers of steps would wait for each other's collectives.
    """
    if settings.exit_sampling == "last":
        return (steps - 1,) * chunks
    weights = settings.exit_weights or (1.0,) * steps
    if settings.same_step_across_blocks:
        return (weighted_choice(weights, draws.shared_uniform("exit")),) * chunks
    return tuple(weighted_choice(weights, draws.shared_uniform(f"exit/{chunk}")) for chunk in range(chunks))


def weighted_choice(weights: Sequence[float], uniform: float) -> int:
    """The index whose share of the weights' sum holds `uniform` in [0, 1)."""
    bounds = list(accumulate(weights))
    return next((i for i, bound in enumerate(bounds) if uniform * bounds[-1] < bound), len(bounds) - 1)


def _denoise(
    student: Network,
    eps: Tensor,
    condition: Condition,
    t_list: Sequence[float],
    cache: KVCache | None,
    fresh: Tensor | None,
    exit_step: int,
    learns: bool,
) -> Tensor:
    """The student's x0 of one chunk after the steps 0..exit_step; `fresh` is [B, steps - 1, ...] or None for `ode`."""
    x_t = t_list[0] * eps
    for step in range(exit_step):
        with torch.no_grad():
            t = _times(x_t, t_list[step])
            v = flow(student, x_t, t, condition, cache=cache)
            noise = flow_to_eps(v, x_t, t) if fresh is None else fresh[:, step]
            x_t = add_noise(flow_to_x0(v, x_t, t), noise, _times(x_t, t_list[step + 1]))
    with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
        t = _times(x_t, t_list[exit_step])
        return flow_to_x0(flow(student, x_t, t, condition, cache=cache), x_t, t)


@torch.no_grad()
def _remember(
    student: Network, x0: Tensor, condition: Condition, cache: KVCache, draws: Draws, context_noise: float
) -> None:
    """Write a finished chunk to the cache, as clean or noised to `context_noise`."""
    t = _times(x0, context_noise)
    if context_noise > 0:
        x0 = add_noise(x0, draws.normal(f"context/{cache.frames}", x0.shape[1:]), t)
    flow(student, x0, t, condition, cache=cache, write=True)


def _times(x: Tensor, t: float) -> Tensor:
    return torch.full((len(x),), t, dtype=torch.float64, device=x.device)
