"""Splitting the frames of a clip into the chunks that a causal student makes one after the other."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor


def chunk_sizes(frames: int, chunk_size: int) -> tuple[int, ...]:
    """Frames per chunk; the remainder joins the first chunk, and a clip shorter than a chunk is one chunk.

    >>> chunk_sizes(8, 3), chunk_sizes(24, 5), chunk_sizes(2, 3)
    ((5, 3), (9, 5, 5, 5), (2,))
    """
    if frames < 1 or chunk_size < 1:
        raise ValueError(f"wanted at least one frame and one frame a chunk, found {frames} and {chunk_size}")
    count = max(1, frames // chunk_size)
    return (frames - chunk_size * (count - 1), *[chunk_size] * (count - 1))


def chunk_slices(sizes: Sequence[int]) -> tuple[slice, ...]:
    """The frames of each chunk."""
    ends = tuple(accumulate(sizes))
    return tuple(slice(end - size, end) for size, end in zip(sizes, ends, strict=True))


def per_frame(values: Tensor, sizes: Sequence[int]) -> Tensor:
    """Repeat one value per chunk [..., K] for every frame of its chunk [..., T]."""
    return values.repeat_interleave(torch.tensor(sizes, device=values.device), dim=-1)
