"""Video files: H.264 in MP4 through PyAV, with one encoder thread so that equal frames give equal bytes."""
# pyright: basic

import io
from fractions import Fraction

import av
import numpy as np
import torch
from torch import Tensor


def to_mp4(video: Tensor, fps: int) -> bytes:
    """An MP4 file from one clip [3, F, H, W] in [-1, 1]."""
    frames = ((video.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)  # [3, F, H, W]
    frames = frames.permute(1, 2, 3, 0).contiguous()  # [F, H, W, 3]
    count, height, width, _ = frames.shape
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"crf": "12", "preset": "medium", "bf": "0"}
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frames[index].numpy()), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def from_mp4(data: bytes) -> Tensor:
    """The clip [3, F, H, W] in [-1, 1] of an MP4 file."""
    with av.open(io.BytesIO(data), "r") as container:
        frames = [torch.from_numpy(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    return torch.stack(frames).permute(3, 0, 1, 2).float() / 127.5 - 1  # [3, F, H, W]
