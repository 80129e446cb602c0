"""Block-causal attention for unmodified diffusers blocks: who sees whom.

The transformer sees each latent frame as a sample of its own, [B * T, tokens of a frame, D]. Only attention mixes
frames, so only the attention processors unfold them. What they need to know of one forward (rotary tables, who sees
whom, the past, where new keys go) travels as a `Sight` in the place of the blocks' rotary argument. So nothing is
stored on the model, and a block that is run again for activation checkpointing meets the same `Sight`.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from fastgen_k8s.diffusion.chunks import chunk_slices
from fastgen_k8s.networks.network import KVCache

Span = tuple[int, int]
"""Frames first..last-1."""

Pair = tuple[Tensor, Tensor]
"""Keys and values [B, tokens, heads, D], un-rotated where they are kept."""

Pairing = Literal["neighbours", "halves"]
"""Which two of a head's D numbers are turned by one angle: 2 i and 2 i + 1, or i and D / 2 + i."""


def seen(first: int, end: int, window: int | None, sink: int) -> tuple[Span, ...]:
    """The frames that the chunk first..end-1 sees: `sink` first frames, `window` frames of its past, and itself."""
    start = 0 if window is None else max(0, first - window)
    return ((0, end),) if sink >= start else tuple(span for span in ((0, sink), (start, end)) if span[0] < span[1])


View = tuple[Span, tuple[Span, ...]]
"""Queries, counted from the first frame of a call, and the keys that they see, counted from the first at hand."""


class Sight:
    """What one forward knows of attention; processors read it, and write nothing but `new`.

    No dataclass: FSDP2 rebuilds those among a block's arguments, and what is written to a copy is lost.
    """

    def __init__(
        self,
        keys: tuple[Span, ...],
        frames: int,
        views: tuple[View, ...],
        past: Mapping[int, Pair] | None = None,
        write: bool = False,
    ) -> None:
        self.keys = keys  # absolute frames whose keys are at hand: of the past, then of this call
        self.frames = frames  # of this call
        self.views = views
        self.past = past or {}  # by layer
        self.new: dict[int, Pair] = {}  # by layer
        self.write = write
        self.turns: Tensor | None = None  # of `keys`: e^(i angle) [1, tokens, 1, D / 2]
        self.pairing: Pairing = "neighbours"  # of what `turns` turns

    @property
    def positions(self) -> tuple[Span, ...]:
        """Where `keys` are, counted from the first of them: turns depend on differences only, so clips may go on."""
        first = self.keys[0][0]
        return tuple((a - first, b - first) for a, b in self.keys)


def look_at_clip(sizes: Sequence[int], window: int | None, sink: int) -> Sight:
    """A whole clip at once, in chunks of the given sizes."""
    chunks = [(chunk.start, chunk.stop) for chunk in chunk_slices(sizes)]
    frames = chunks[-1][1]
    return Sight(((0, frames),), frames, tuple((chunk, seen(*chunk, window, sink)) for chunk in chunks))


def look_back(cache: KVCache, frames: int, window: int | None, sink: int, write: bool) -> Sight:
    """The next `frames` frames after those in the cache, all of which see each other and their past."""
    keys = seen(cache.frames, cache.frames + frames, window, sink)
    past_frames = sum(b - a for a, b in keys) - frames
    view = ((0, frames), ((0, past_frames + frames),))
    # The cache goes on to grow before a checkpointed block may run again: take what it holds now.
    past = {layer: _visible(pair, cache.frames, keys) for layer, pair in cache.layers.items()} if past_frames else {}
    return Sight(keys, frames, (view,), past, write=write)


def _visible(pair: Pair, frames: int, spans: Sequence[Span]) -> Pair:
    tokens = pair[0].shape[1] // frames
    kept = [(a, min(b, frames)) for a, b in spans if a < frames]
    return take(pair[0], kept, tokens), take(pair[1], kept, tokens)


def take(x: Tensor, spans: Sequence[Span], tokens: int) -> Tensor:
    """The given frames of x [B, frames * tokens, ...], without a copy where they are contiguous."""
    parts = [x[:, a * tokens : b * tokens] for a, b in spans]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


@contextmanager
def sight_for_blocks(rope: nn.Module, pairing: Pairing, sight: Sight, grid: tuple[int, int]) -> Generator[None]:
    """While open, the rotary module answers with `sight` filled with its own tables, instead of with its tables."""
    frames = sight.positions[-1][1]

    def ask_for_all_frames(module: nn.Module, args: tuple[Any, ...]) -> tuple[Tensor]:
        return (args[0].new_empty(1).expand(1, 1, frames, *grid),)  # the module reads nothing but shape and device

    def answer(module: nn.Module, args: tuple[Any, ...], tables: tuple[Tensor, Tensor]) -> Sight:
        whole = [table.reshape(1, -1, 1, table.shape[-1]) for table in tables]  # [1, tokens, 1, D], each angle twice
        tokens = whole[0].shape[1] // frames
        cos, sin = (at_least_float32(take(_once(table, pairing), sight.positions, tokens)) for table in whole)
        sight.turns, sight.pairing = torch.complex(cos, sin), pairing
        return sight

    hooks = rope.register_forward_pre_hook(ask_for_all_frames), rope.register_forward_hook(answer)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _once(table: Tensor, pairing: Pairing) -> Tensor:
    return table[..., ::2] if pairing == "neighbours" else table[..., : table.shape[-1] // 2]


def at_least_float32(x: Tensor) -> Tensor:
    """Half precisions as float32, which complex numbers need; float32 and float64 as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def rotate(x: Tensor, turns: Tensor, pairing: Pairing) -> Tensor:
    """Turn pairs of x [B, tokens, heads, D] by their angles (Su et al. 2021, arXiv 2104.09864, eq. 13).

    As complex numbers: five times faster on a CPU, forward and backward, than the same with cosines and sines.
    """
    wide = at_least_float32(x)
    if pairing == "halves":
        first, second = wide.chunk(2, dim=-1)
        turned = torch.complex(first, second) * turns  # [B, tokens, heads, D / 2]
        return torch.cat([turned.real, turned.imag], dim=-1).type_as(x)
    pairs = torch.view_as_complex(wide.view(*x.shape[:-1], -1, 2))  # [B, tokens, heads, D / 2]
    return torch.view_as_real(pairs * turns).flatten(-2).type_as(x)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of all queries to all keys, each [B, tokens, heads, D] (Vaswani et al. 2017, eq. 1)."""
    q, k, v = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
    return scaled_dot_product_attention(q, k, v).transpose(1, 2)


def attend_in_view(query: Tensor, key: Tensor, value: Tensor, sight: Sight) -> Tensor:
    """Each chunk of queries attends to the keys that it sees: no mask, so nothing is computed only to be discarded."""
    tokens = query.shape[1] // sight.frames
    if len(sight.views) == 1:
        return attend(query, key, value)
    chunks = [
        attend(take(query, [queries], tokens), take(key, keys, tokens), take(value, keys, tokens))
        for queries, keys in sight.views
    ]
    return torch.cat(chunks, dim=1)


def look(sight: Sight, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of this call's frames, each [B, T * tokens, heads, D] and un-rotated, to all that is in sight."""
    if sight.write:
        sight.new[layer] = key, value
    past = sight.past.get(layer)
    if past is not None:
        key, value = torch.cat([past[0], key], dim=1), torch.cat([past[1], value], dim=1)
    turns = cast(Tensor, sight.turns)
    query = rotate(query, turns[:, -query.shape[1] :], sight.pairing)
    return attend_in_view(query, rotate(key, turns, sight.pairing), value, sight)
