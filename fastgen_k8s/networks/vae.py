# pyright: basic
"""Codecs between video [B, 3, F, H, W] in [-1, 1] and latents [B, C, T, h, w] of unit scale."""

import math
from pathlib import Path
from typing import Protocol

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from torch import Tensor, nn

from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments import codecs
from fastgen_k8s.networks.device import local_device
from fastgen_k8s.networks.folder import (
    UNBUILT,
    component,
    fill,
    finite,
    first_line,
    read_component,
    read_config,
    read_safetensors,
)
from fastgen_k8s.printable import shown

BLOCK = 8  # pixels
_FRAMES = 4  # that make one latent frame of Wan's, after the first


class Codec(Protocol):
    """Video to latents and back."""

    def encode(self, video: Tensor) -> Tensor:
        """Latents [B, C, T, h, w] of video [B, 3, F, H, W] in [-1, 1]."""
        ...

    def decode(self, latent: Tensor) -> Tensor:
        """Video [B, 3, F, H, W] in [-1, 1] of latents [B, C, T, h, w]."""
        ...


def load_codec(codec: codecs.Codec, teacher: Path | None) -> Codec | None:
    """The codec that the settings describe, from the teacher's folder; None where latents are the data."""
    if codec.kind == "none":
        return None
    if codec.kind == "patch_pca":
        return PatchPcaCodec.load(component(teacher, "codec") / "codec.safetensors")
    return WanCodec(_autoencoder(component(teacher, "vae")))


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


class WanCodec:
    """diffusers' `AutoencoderKLWan`, with latents normalised per channel as Wan's transformer expects them."""

    def __init__(self, vae: AutoencoderKLWan) -> None:
        self.vae = vae
        self.mean = torch.tensor(vae.config["latents_mean"], device=vae.device).view(1, -1, 1, 1, 1)
        self.std = torch.tensor(vae.config["latents_std"], device=vae.device).view(1, -1, 1, 1, 1)

    @torch.no_grad()
    def encode(self, video: Tensor) -> Tensor:
        """The posterior's mode, (mode - mean) / std; 1 + 4 k frames make 1 + k latent frames."""
        frames, *pixels = video.shape[2:]
        if frames % _FRAMES != 1:
            raise BadInput(f"wanted a video of 1 + {_FRAMES} k frames, found {frames}")  # the rest would be dropped
        block = BLOCK * (self.vae.config["patch_size"] or 1)
        if any(size % block for size in pixels):
            raise BadInput(f"wanted a video of whole {block} x {block} blocks, found {pixels} pixels")
        (posterior,) = self.vae.encode(video.to(self.vae.device, self.vae.dtype), return_dict=False)
        return (posterior.mode().float() - self.mean) / self.std

    @torch.no_grad()
    def decode(self, latent: Tensor) -> Tensor:
        """Decode latent * std + mean."""
        if latent.shape[1] != self.mean.numel():
            raise BadInput(f"wanted latents of {self.mean.numel()} channels, found {latent.shape[1]}")
        raw = latent.to(self.vae.device).float() * self.std + self.mean
        return self.vae.decode(raw.to(self.vae.dtype), return_dict=False)[0].float().clamp(-1, 1)


def _autoencoder(path: Path) -> AutoencoderKLWan:
    where = path / "config.json"
    try:
        vae = AutoencoderKLWan(**read_config(path, "AutoencoderKLWan"))
    except UNBUILT as error:
        raise BadInput(f"{where}: wanted an AutoencoderKLWan's settings, found {first_line(error)}") from error
    for name in ("latents_mean", "latents_std"):
        _check_statistics(name, vae.config[name], vae.config["z_dim"], where)
    fill(vae, read_component(path), str(path))
    nn.Module.to(vae, local_device())
    return vae.requires_grad_(False).eval()


def _check_statistics(name: str, value: object, channels: int, where: Path) -> None:
    """Refuse what is not one number for each channel of the latents: it would be seen at the first clip only."""
    if not isinstance(value, list | tuple) or not all(isinstance(number, int | float) for number in value):
        raise BadInput(f"{where}: wanted {name} as a list of numbers, found {shown(value)}")
    if len(value) != channels:
        raise BadInput(f"{where}: wanted {channels} numbers in {name}, as z_dim says, found {len(value)}")
    if not all(map(math.isfinite, value)) or (name == "latents_std" and min(value) <= 0):
        raise BadInput(f"{where}: wanted {name} with which a latent can be normalised, found {shown(list(value))}")
