"""Block-causal attention for unmodified diffusers blocks: who sees whom, and the processors that honour it.

The transformer sees each latent frame as a sample of its own, [B * T, tokens of a frame, D]. Only attention mixes
frames, so only the attention processors unfold them. What they need to know of one forward (rotary tables, who sees
whom, the past, where new keys go) travels as a `Sight` in the place of the blocks' rotary argument. So nothing is
stored on the model, and a block that is run again for activation checkpointing meets the same `Sight`.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from fastgen_k8s.networks.network import Cache

Span = tuple[int, int]
"""Frames first..last-1."""

Pair = tuple[Tensor, Tensor]
"""Keys and values [B, tokens, heads, D], un-rotated where they are kept."""


class Attention(Protocol):
    """What the processors use of a diffusers attention with normalised queries and keys."""

    heads: int
    to_q: nn.Module
    to_k: nn.Module
    to_v: nn.Module
    norm_q: nn.Module
    norm_k: nn.Module
    to_out: Sequence[nn.Module]


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

    @property
    def positions(self) -> tuple[Span, ...]:
        """Where `keys` are, counted from the first of them: turns depend on differences only, so clips may go on."""
        first = self.keys[0][0]
        return tuple((a - first, b - first) for a, b in self.keys)


def look_at_clip(sizes: Sequence[int], window: int | None, sink: int) -> Sight:
    """A whole clip at once, in chunks of the given sizes."""
    views: list[View] = []
    first = 0
    for size in sizes:
        views.append(((first, first + size), seen(first, first + size, window, sink)))
        first += size
    return Sight(((0, first),), first, tuple(views))


def look_back(cache: Cache, frames: int, window: int | None, sink: int, write: bool) -> Sight:
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
def sight_for_blocks(rope: nn.Module, sight: Sight, grid: tuple[int, int]) -> Generator[None]:
    """While open, the rotary module answers with `sight` filled with its own tables, instead of with its tables."""
    frames = sight.positions[-1][1]

    def ask_for_all_frames(module: nn.Module, args: tuple[Any, ...]) -> tuple[Tensor]:
        # The module reads nothing but the shape.
        return (torch.empty(1, 1, frames, *grid, device="meta"),)

    def answer(module: nn.Module, args: tuple[Any, ...], tables: tuple[Tensor, Tensor]) -> Sight:
        tokens = tables[0].shape[1] // frames
        # Neighbouring numbers share an angle, and the tables [1, tokens, 1, D] hold each twice.
        cos, sin = (at_least_float32(take(table, sight.positions, tokens)[..., ::2]) for table in tables)
        sight.turns = torch.complex(cos, sin)
        return sight

    hooks = rope.register_forward_pre_hook(ask_for_all_frames), rope.register_forward_hook(answer)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def at_least_float32(x: Tensor) -> Tensor:
    """Half precisions as float32, which complex numbers need; float32 and float64 as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Turn neighbouring pairs of x [B, tokens, heads, D] by their angles (Su et al. 2021, arXiv 2104.09864, eq. 13).

    As complex numbers: five times faster on a CPU, forward and backward, than the same with cosines and sines.
    """
    pairs = torch.view_as_complex(at_least_float32(x).view(*x.shape[:-1], -1, 2))  # [B, tokens, heads, D / 2]
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


def split_heads(x: Tensor, batch: int, heads: int) -> Tensor:
    """Frames unfolded and heads split: [B * T, tokens, D] -> [B, T * tokens, heads, D / heads]."""
    return x.view(batch, -1, heads, x.shape[-1] // heads)


class SelfAttention:
    """Processor of a block's self-attention: unfold frames, rotate, attend to what is in sight, fold."""

    def __init__(self, layer: int) -> None:
        self.layer = layer

    def __call__(
        self, attn: Attention, hidden: Tensor, text: Tensor | None, mask: Tensor | None, sight: Sight
    ) -> Tensor:
        tokens = hidden.shape[1]
        query = attn.norm_q(attn.to_q(hidden))  # [B * T, tokens, D]
        key = attn.norm_k(attn.to_k(hidden))
        value = attn.to_v(hidden)
        batch = hidden.shape[0] // sight.frames
        query, key, value = (split_heads(x, batch, attn.heads) for x in (query, key, value))
        if sight.write:
            sight.new[self.layer] = key, value
        past = sight.past.get(self.layer)
        if past is not None:
            key, value = torch.cat([past[0], key], dim=1), torch.cat([past[1], value], dim=1)
        turns = cast(Tensor, sight.turns)
        query, key = rotate(query, turns[:, -query.shape[1] :]), rotate(key, turns)
        mixed = attend_in_view(query, key, value, sight).reshape(-1, tokens, hidden.shape[-1])
        return attn.to_out[1](attn.to_out[0](mixed))


class CrossAttention:
    """Processor of a block's attention to the text: all frames of a sample share its text."""

    def __call__(
        self, attn: Attention, hidden: Tensor, text: Tensor, mask: Tensor | None = None, rotary: None = None
    ) -> Tensor:
        batch, tokens = text.shape[0], hidden.shape[1]
        query = attn.norm_q(attn.to_q(hidden))  # [B * T, tokens, D]
        key, value = attn.norm_k(attn.to_k(text)), attn.to_v(text)  # [B, L, D]
        query, key, value = (split_heads(x, batch, attn.heads) for x in (query, key, value))
        mixed = attend(query, key, value).reshape(-1, tokens, hidden.shape[-1])
        return attn.to_out[1](attn.to_out[0](mixed))
