# pyright: basic
"""diffusers' `AutoencoderKLWan` as a codec: Wan's and Cosmos'."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments.codecs import AutoencoderWan
from fastgen_k8s.networks.device import local_device
from fastgen_k8s.networks.folder import UNBUILT, component, fill, first_line, read_component, read_config
from fastgen_k8s.printable import shown

_BLOCK = 8  # pixels
_FRAMES = 4  # that make one latent frame, after the first


def read(settings: AutoencoderWan, teacher: Path | None) -> "WanCodec":
    """Out of a teacher's folder; BadInput when it is missing, spoilt, or has no statistics of its latents."""
    return WanCodec(_autoencoder(component(teacher, *settings.parts)))


class WanCodec:
    """diffusers' `AutoencoderKLWan`, with latents normalised per channel as Wan's transformer expects them."""

    def __init__(self, vae: Any) -> None:
        self.vae = vae
        self.mean = torch.tensor(vae.config["latents_mean"], device=vae.device).view(1, -1, 1, 1, 1)
        self.std = torch.tensor(vae.config["latents_std"], device=vae.device).view(1, -1, 1, 1, 1)

    @torch.no_grad()
    def encode(self, video: Tensor) -> Tensor:
        """The posterior's mode, (mode - mean) / std; 1 + 4 k frames make 1 + k latent frames."""
        frames, *pixels = video.shape[2:]
        if frames % _FRAMES != 1:
            raise BadInput(f"wanted a video of 1 + {_FRAMES} k frames, found {frames}")  # the rest would be dropped
        block = _BLOCK * (self.vae.config["patch_size"] or 1)
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


def _autoencoder(path: Path) -> Any:
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

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
