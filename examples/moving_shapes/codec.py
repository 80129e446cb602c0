"""Fit the demo's codec: a linear map between blocks of 8x8 pixels and 24 channels, in a VAE's place."""

from pathlib import Path
from typing import cast

import torch
from safetensors.torch import save
from torch import Tensor

from examples.moving_shapes.shapes import KINDS, PROMPTS, draw, kinds
from fastgen_k8s.diffusion.draws import generator

BLOCK = 8  # pixels, both ways
CHANNELS = 24
FILE = "codec/codec.safetensors"  # under the teacher's folder


def blocks(video: Tensor) -> Tensor:
    """Every block of 8x8 pixels of videos [N, 3, F, H, W] as a row [M, 192]."""
    cut = video.unfold(3, BLOCK, BLOCK).unfold(4, BLOCK, BLOCK)  # [N, 3, F, h, w, 8, 8]
    return cut.permute(0, 2, 3, 4, 1, 5, 6).flatten(4).flatten(0, 3)


def fit(rows: Tensor, channels: int = CHANNELS) -> dict[str, Tensor]:
    """Principal directions of rows [M, D]: latent = (row - mean) @ basis.T / scale.

    The scale of a channel is the root of its deviation, times what gives the latents an average power of 1: large
    directions stay larger than small ones, but less so, and noise of unit power hides all of them at about one time.
    """
    rows = rows.double()
    mean = rows.mean(0)
    split = torch.linalg.svd(rows - mean, full_matrices=False)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    _, deviations, directions = cast("tuple[Tensor, Tensor, Tensor]", split)
    basis, deviation = directions[:channels], deviations[:channels] / len(rows) ** 0.5
    scale = deviation.sqrt() * deviation.mean().sqrt()  # mean of (deviation / scale)^2 over channels is 1
    return {"basis": basis.float(), "mean": mean.float(), "scale": scale.float()}


def fit_to_clips(clips_per_prompt: int = 8) -> dict[str, Tensor]:
    """The codec of clips drawn with fixed seeds."""
    kind = kinds(PROMPTS).repeat(clips_per_prompt, 1)
    uniform = torch.rand(len(KINDS) * clips_per_prompt, 2, generator=generator("codec"))
    return fit(blocks(draw(kind, uniform)))


def write(folder: Path) -> None:
    """Write the codec under the teacher's folder."""
    (folder / FILE).parent.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(save({name: tensor.contiguous() for name, tensor in fit_to_clips().items()}))
