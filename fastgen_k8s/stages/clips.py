"""The files of finished clips: latent, prompt and decoded video of each sample, the same for pairs and samples."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fastgen_k8s.data.videos import to_mp4
from fastgen_k8s.errors import Unhealthy
from fastgen_k8s.networks.by_kind import Codec
from fastgen_k8s.networks.pth import to_pth


def clip_files(
    samples: Sequence[int], latent: Tensor, prompts: Sequence[str], codec: Codec | None, fps: int
) -> dict[str, bytes]:
    """`samples/<n>/{latent.pth,prompt.txt,video.mp4}` of each clip of `latent` [B, C, T, H, W]; Unhealthy when
    it is not finite.
    """
    for row, sample in enumerate(samples):
        if not latent[row].isfinite().all():
            raise Unhealthy(f"sample {sample}: wanted a finite clip, found one that is not")
    with torch.no_grad():
        videos = None if codec is None else codec.decode(latent.float())  # [B, 3, F, H, W]
    files: dict[str, bytes] = {}
    for row, sample in enumerate(samples):
        folder = f"samples/{sample:06d}"
        files[f"{folder}/latent.pth"] = to_pth(latent[row])
        files[f"{folder}/prompt.txt"] = (prompts[row] + "\n").encode()
        if videos is not None:
            files[f"{folder}/video.mp4"] = to_mp4(videos[row].cpu(), fps)
    return files
