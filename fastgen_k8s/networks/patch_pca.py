# pyright: basic
"""A codec of fixed numbers for tiny teachers."""

from pathlib import Path

import torch
from torch import Tensor

from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments.codecs import PatchPca
from fastgen_k8s.networks.folder import component, finite, read_safetensors

BLOCK = 8  # pixels


def read(settings: PatchPca, teacher: Path | None) -> "PatchPcaCodec":
    """Out of a teacher's folder."""
    return PatchPcaCodec.load(component(teacher, *settings.parts) / "codec.safetensors")


class PatchPcaCodec:
    """Principal components of 8 x 8 blocks of RGB: one latent per block and frame, no compression of time."""

    def __init__(self, basis: Tensor, mean: Tensor, scale: Tensor) -> None:
        self.basis = basis.float()  # [C, 3 * 8 * 8]
        self.mean = mean.float()  # [3 * 8 * 8]
        self.scale = scale.float()  # [C]

    @classmethod
    def load(cls, path: Path) -> "PatchPcaCodec":
        """Read a codec file."""
        tensors = read_safetensors(path)
        numbers = 3 * BLOCK * BLOCK
        channels = tensors["scale"].numel() if "scale" in tensors else 0
        wanted = {"basis": [channels, numbers], "mean": [numbers], "scale": [channels]}
        found = {name: list(tensor.shape) for name, tensor in tensors.items()}
        if found != wanted:
            raise BadInput(f"{path}: wanted basis [C, {numbers}], mean [{numbers}] and scale [C], found {found}")
        if not all(map(finite, tensors.values())):
            raise BadInput(f"{path}: wanted finite numbers, found some that are not")
        return cls(**tensors)

    def encode(self, video: Tensor) -> Tensor:
        """latent = (block - mean) basis^T / scale, [B, C, F, H / 8, W / 8]."""
        if video.shape[-2] % BLOCK or video.shape[-1] % BLOCK:
            raise BadInput(f"wanted a video of whole {BLOCK} x {BLOCK} blocks, found {list(video.shape[-2:])} pixels")
        blocks = video.unflatten(4, (-1, BLOCK)).unflatten(3, (-1, BLOCK))  # [B, 3, F, h, 8, w, 8]
        blocks = blocks.permute(0, 2, 3, 5, 1, 4, 6).flatten(4)  # [B, F, h, w, 3 * 8 * 8]
        basis, mean, scale = self._on(video.device)
        return ((blocks.float() - mean) @ basis.T / scale).permute(0, 4, 1, 2, 3)

    def decode(self, latent: Tensor) -> Tensor:
        """block = (latent scale) basis + mean, within [-1, 1], [B, 3, F, 8 h, 8 w]."""
        basis, mean, scale = self._on(latent.device)
        if latent.shape[1] != len(scale):
            raise BadInput(f"wanted latents of {len(scale)} channels, found {latent.shape[1]}")
        blocks = (latent.float().permute(0, 2, 3, 4, 1) * scale) @ basis + mean  # [B, F, h, w, 3 * 8 * 8]
        blocks = blocks.unflatten(4, (3, BLOCK, BLOCK)).permute(0, 4, 1, 2, 5, 3, 6)  # [B, 3, F, h, 8, w, 8]
        return blocks.flatten(5).flatten(3, 4).clamp(-1, 1)

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        return self.basis.to(device), self.mean.to(device), self.scale.to(device)
