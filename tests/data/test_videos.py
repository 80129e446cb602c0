"""Video files."""

import torch

from fastgen_k8s.data.videos import from_mp4, to_mp4

CLIP = torch.linspace(-1, 1, 24).expand(3, 9, 24, 24)


def test_equal_frames_give_equal_bytes() -> None:
    assert to_mp4(CLIP, 8) == to_mp4(CLIP.clone(), 8)


def test_a_clip_survives_the_file() -> None:
    back = from_mp4(to_mp4(CLIP, 8))
    assert back.shape == CLIP.shape
    assert (back - CLIP).abs().mean() < 0.02
