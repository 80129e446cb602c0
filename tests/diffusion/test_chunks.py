"""Frames to chunks."""

import pytest
import torch

from fastgen_k8s.diffusion.chunks import chunk_sizes, chunk_slices, per_frame


@pytest.mark.parametrize(
    ("frames", "size", "wanted"),
    [
        (8, 3, (5, 3)),
        (24, 5, (9, 5, 5, 5)),
        (21, 3, (3,) * 7),
        (6, 2, (2, 2, 2)),
        (2, 3, (2,)),
        (1, 1, (1,)),
        (5, 3, (5,)),
    ],
)
def test_the_remainder_joins_the_first_chunk(frames: int, size: int, wanted: tuple[int, ...]) -> None:
    assert chunk_sizes(frames, size) == wanted


@pytest.mark.parametrize(("frames", "size"), [(0, 3), (4, 0)])
def test_a_clip_without_frames_or_chunks_without_frames_are_refused(frames: int, size: int) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        chunk_sizes(frames, size)


def test_slices_tile_the_clip() -> None:
    assert chunk_slices(chunk_sizes(8, 3)) == (slice(0, 5), slice(5, 8))


def test_a_value_per_chunk_is_repeated_for_its_frames() -> None:
    assert torch.equal(per_frame(torch.tensor([[7, 9]]), (3, 1)), torch.tensor([[7, 7, 7, 9]]))
