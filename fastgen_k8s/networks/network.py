"""The one face that every network has, and the free functions that use it.

A network is an `nn.Module` whose only public call is `forward`: a second public method on a sharded module would
bypass its hooks. Everything else (x0, features, guidance) is a function here that calls it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fastgen_k8s.diffusion.schedule import RECTIFIED_FLOW, Schedule, flow_to_x0

Condition = Mapping[str, Tensor]
"""What a network is conditioned on, batched: for text families {"text": [B, L, D]}."""


class Output(NamedTuple):
    """What one forward gives: the flow v = eps - x0 (absent for features-only calls), and the wanted features."""

    flow: Tensor | None  # [B, C, T, H, W]
    features: tuple[Tensor, ...] = ()  # each [B, T * n, D], in the order asked for


class KVCache:
    """Keys and values of the frames already made, one pair per layer, in the order of their frames."""

    def __init__(self) -> None:
        self.frames = 0
        self.layers: dict[int, tuple[Tensor, Tensor]] = {}

    def append(self, new: Mapping[int, tuple[Tensor, Tensor]], frames: int) -> None:
        """Add the keys and values [B, tokens, heads, D] of `frames` new frames."""
        for layer, pair in new.items():
            past = self.layers.get(layer)
            self.layers[layer] = pair if past is None else _joined(past, pair)
        self.frames += frames


def _joined(past: tuple[Tensor, Tensor], new: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return torch.cat([past[0], new[0]], dim=1), torch.cat([past[1], new[1]], dim=1)


class Network(nn.Module):
    """What the rest of the package knows of a network; every network is this and nothing more in public."""

    blocks: nn.ModuleList
    """The blocks that are sharded and checkpointed one by one; empty for a closed form."""
    readable: tuple[int, int] = (0, 0)
    """How many blocks' outputs can be read as features, and how many numbers a token of these has."""
    schedule: Schedule = RECTIFIED_FLOW
    """On which its flow is one, and a method noises what it is asked about."""

    @property
    def weighted(self) -> Any:
        """The diffusers model whose weights are the network's, under its keys; None for a closed form."""
        return None

    def forward(
        self,
        x_t: Tensor,
        t: Tensor,
        condition: Condition,
        *,
        cache: KVCache | None = None,
        write: bool = False,
        blocks: Sequence[int] = (),
    ) -> Output:
        """One evaluation.

        `x_t` is [B, C, T, H, W], `t` [B] or [B, T] in [0, 1]. Without a `cache`, `x_t` is the whole clip; with one it
        is the next chunk, which sees the cached frames and itself, and `write` appends its keys and values.
        `blocks` asks for features only: the network stops after the last of them and returns their outputs.
        """
        raise NotImplementedError


def flow(
    network: Network,
    x_t: Tensor,
    t: Tensor,
    condition: Condition,
    *,
    cache: KVCache | None = None,
    write: bool = False,
) -> Tensor:
    """The network's flow v = eps - x0 at x_t [B, C, T, H, W] and times t [B] or [B, T]."""
    output: Output = network(x_t, t, condition, cache=cache, write=write)
    predicted = output.flow
    assert predicted is not None  # only features-only calls leave it out
    return predicted


def x0(network: Network, x_t: Tensor, t: Tensor, condition: Condition, *, cache: KVCache | None = None) -> Tensor:
    """The network's estimate of the clean clip at x_t [B, C, T, H, W] and times t [B] or [B, T]."""
    return flow_to_x0(flow(network, x_t, t, condition, cache=cache), x_t, t, network.schedule)


def guided_flow(
    network: Network,
    x_t: Tensor,
    t: Tensor,
    condition: Condition,
    negative: Condition,
    guidance: float,
    *,
    cache: KVCache | None = None,
    negative_cache: KVCache | None = None,
) -> Tensor:
    """Classifier-free guidance in the standard form, uncond + g (cond - uncond) (Ho & Salimans 2022, eq. 6)."""
    conditional = flow(network, x_t, t, condition, cache=cache)
    if guidance == 1.0:
        return conditional
    unconditional = flow(network, x_t, t, negative, cache=negative_cache)
    return unconditional + guidance * (conditional - unconditional)


def features(
    network: Network, x_t: Tensor, t: Tensor, condition: Condition, blocks: Sequence[int]
) -> tuple[Tensor, ...]:
    """The outputs [B, T * n, D] of the given blocks; later blocks never run."""
    output: Output = network(x_t, t, condition, blocks=blocks)
    return output.features
