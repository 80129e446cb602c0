"""Block-causal attention for unmodified diffusers blocks: who sees whom, and the processors that honour it.

The transformer sees each latent frame as a sample of its own, [B * T, tokens of a frame, D]. Only attention mixes
frames, so only the attention processors unfold them. What they need to know of one forward (rotary tables, who sees
whom, the past, where new keys go) travels as a `Sight` in the place of the blocks' rotary argument. So nothing is
stored on the model, and a block that is run again for activation checkpointing meets the same `Sight`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from fastgen_k8s.networks.network import Cache

Span = tuple[int, int]
"""Frames first..last-1."""

Pair = tuple[Tensor, Tensor]
"""Keys and values [B, tokens, heads, D], or the cosines and sines [1, tokens, 1, D / 2] of rotary positions."""


class Attention(Protocol):
    """What the processors use of a diffusers attention with normalised queries and keys."""

    heads: int
    to_q: nn.Module
    to_k: nn.Module
    to_v: nn.Module
    norm_q: nn.Module
    norm_k: nn.Module
    to_out: Sequence[nn.Module]


Processor = Callable[..., Tensor]


def seen(first: int, end: int, window: int | None, sink: int) -> tuple[Span, ...]:
    """The frames that the chunk first..end-1 sees: `sink` first frames, `window` frames of its past, and itself."""
    start = 0 if window is None else max(0, first - window)
    return ((0, end),) if sink >= start else tuple(span for span in ((0, sink), (start, end)) if span[0] < span[1])


@dataclass
class Sight:
    """What one forward knows of attention; processors read it, and write nothing but `new`."""

    keys: tuple[Span, ...]  # absolute frames whose keys are at hand: of the past, then of this call
    frames: int  # of this call
    views: tuple[tuple[Span, tuple[Span, ...]], ...]  # queries of this call -> keys, both counted from the first at hand
    past: Mapping[int, Pair] = field(default_factory=dict[int, Pair])  # by layer, un-rotated
    new: dict[int, Pair] = field(default_factory=dict[int, Pair])  # by layer, un-rotated
    write: bool = False
    rotary: Pair | None = None  # of `keys`

    @property
    def rotary_frames(self) -> Span:
        """The absolute frames that rotary tables are needed for."""
        return self.keys[0][0], self.keys[-1][1]


def look_at_clip(sizes: Sequence[int], window: int | None, sink: int) -> Sight:
    """A whole clip at once, in chunks of the given sizes."""
    views: list[tuple[Span, tuple[Span, ...]]] = []
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
def sight_for_blocks(rope: nn.Module, sight: Sight, grid: tuple[int, int]) -> Iterator[None]:
    """While open, the rotary module answers with `sight` filled with its own tables, instead of with its tables."""
    first, end = sight.rotary_frames

    def ask_for_all_frames(module: nn.Module, args: tuple[Any, ...]) -> tuple[Tensor]:
        # The module reads nothing but the shape.
        return (torch.empty(1, 1, end, *grid, device="meta"),)

    def answer(module: nn.Module, args: tuple[Any, ...], tables: Pair) -> Sight:
        tokens = tables[0].shape[1] // end
        # Pairs of neighbouring numbers share an angle, and the tables hold each twice.
        cos, sin = (take(table, sight.keys, tokens)[..., ::2] for table in tables)
        sight.rotary = cos, sin
        return sight

    hooks = rope.register_forward_pre_hook(ask_for_all_frames), rope.register_forward_hook(answer)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn neighbouring pairs of x [B, tokens, heads, D] by their angles (Su et al. 2021, arXiv 2104.09864, eq. 34)."""
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2).type_as(x)


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
        query, key, value = (
            x.unflatten(-1, (attn.heads, -1)).view(-1, sight.frames * tokens, attn.heads, x.shape[-1] // attn.heads)
            for x in (query, key, value)
        )
        if sight.write:
            sight.new[self.layer] = key, value
        past = sight.past.get(self.layer)
        if past is not None:
            key, value = torch.cat([past[0], key], dim=1), torch.cat([past[1], value], dim=1)
        cos, sin = cast(Pair, sight.rotary)
        new = slice(cos.shape[1] - query.shape[1], None)
        query, key = rotate(query, cos[:, new], sin[:, new]), rotate(key, cos, sin)
        mixed = attend_in_view(query, key, value, sight)
        mixed = mixed.reshape(-1, tokens, hidden.shape[-1])
        return attn.to_out[1](attn.to_out[0](mixed))


class CrossAttention:
    """Processor of a block's attention to the text: all frames of a sample share its text."""

    def __call__(
        self, attn: Attention, hidden: Tensor, text: Tensor, mask: Tensor | None = None, rotary: None = None
    ) -> Tensor:
        batch, tokens = text.shape[0], hidden.shape[1]
        query = attn.norm_q(attn.to_q(hidden))  # [B * T, tokens, D]
        key, value = attn.norm_k(attn.to_k(text)), attn.to_v(text)  # [B, L, D]
        query, key, value = (x.reshape(batch, -1, attn.heads, x.shape[-1] // attn.heads) for x in (query, key, value))
        mixed = attend(query, key, value).reshape(-1, tokens, hidden.shape[-1])
        return attn.to_out[1](attn.to_out[0](mixed))
