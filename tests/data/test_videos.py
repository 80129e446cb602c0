# pyright: basic
"""Video files."""

import io

import av
import pytest
import torch
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from fastgen_k8s.data.videos import to_mp4
from fastgen_k8s.errors import BadInput

CLIP = torch.linspace(-1, 1, 24).expand(3, 9, 24, 24)


def test_equal_frames_give_equal_bytes() -> None:
    assert to_mp4(CLIP, 8) == to_mp4(CLIP.clone(), 8)


def test_a_clip_survives_the_file() -> None:
    with av.open(io.BytesIO(to_mp4(CLIP, 8)), "r") as container:
        frames = [torch.from_numpy(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    back = torch.stack(frames).permute(3, 0, 1, 2).float() / 127.5 - 1  # [3, F, H, W]
    assert back.shape == CLIP.shape
    assert (back - CLIP).abs().mean() < 0.02


@pytest.mark.parametrize("size", [(24, 25), (25, 24), (1, 1)])
def test_a_clip_of_odd_size_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(
        BadInput, match=rf"wanted a video of even height and width for MP4, found \[{size[0]}, {size[1]}\]"
    ):
        to_mp4(torch.zeros(3, 2, *size), 8)


def test_a_file_says_which_colours_it_holds() -> None:
    with av.open(io.BytesIO(to_mp4(CLIP, 8))) as container:
        said = container.streams.video[0].codec_context
        assert (said.colorspace, said.color_range) == (Colorspace.ITU601, ColorRange.MPEG)
        assert (said.color_primaries, said.color_trc) == (ColorPrimaries.BT709, ColorTrc.IEC61966_2_1)


def test_what_a_file_says_of_its_colours_is_what_it_holds() -> None:
    red = torch.tensor([1.0, -1.0, -1.0]).view(3, 1, 1, 1).expand(3, 2, 16, 16)
    with av.open(io.BytesIO(to_mp4(red, 8)), "r") as container:
        y, cb, cr = (float(plane.mean()) for plane in _planes(next(container.decode(video=0))))
    assert (y, cb, cr) == pytest.approx((81, 90, 240), abs=1)  # red by BT.601, of limited range


def _planes(frame: av.VideoFrame) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Luma and both chromas of a 4:2:0 frame, 16 x 16."""
    values = torch.from_numpy(frame.to_ndarray()).float().flatten()
    luma, blue, red = values.split([256, 64, 64])
    return luma, blue, red
