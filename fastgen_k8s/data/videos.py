# pyright: basic
"""Video files: H.264 in MP4 through PyAV, with one encoder thread so that equal frames give equal bytes.

The frames are sRGB, which the encoder converts by the matrix of BT.601 to its limited range; the file says so, because
players guess otherwise, and by the size.
"""

import io
from fractions import Fraction

import av
import numpy as np
import torch
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from torch import Tensor

from fastgen_k8s.errors import BadInput


def to_mp4(video: Tensor, fps: int) -> bytes:
    """An MP4 file from one clip [3, F, H, W] in [-1, 1]; BadInput for odd sizes: its pixels share colours by fours."""
    if video.shape[2] % 2 or video.shape[3] % 2:
        raise BadInput(f"wanted a video of even height and width for MP4, found {list(video.shape[2:])} pixels")
    frames = ((video.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)  # [3, F, H, W]
    frames = frames.permute(1, 2, 3, 0).contiguous()  # [F, H, W, 3]
    count, height, width, _ = frames.shape
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.colorspace, context.color_range = Colorspace.ITU601, ColorRange.MPEG
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.IEC61966_2_1
        context.thread_count = 1
        stream.options = {"crf": "12", "preset": "medium", "bf": "0"}
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frames[index].numpy()), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()
