"""The doors of a model: what the module that a kind names has for it, and the way there."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

from torch import Tensor

from fastgen_k8s.experiments import codecs, encoders
from fastgen_k8s.experiments.families import WEIGHTED
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.networks.network import Condition, Network


class Family(Protocol):
    """How a family's networks are made, from a teacher's folder if they have weights: its module's `FAMILY`."""

    def student(self, model: Model, folder: Path | None) -> Network:
        """Before training: causal where the model has a chunk size, with the teacher's weights if any."""
        ...

    def teacher(self, model: Model, folder: Path | None) -> Network:
        """A closed form, or a bidirectional network with the weights in the folder."""
        ...

    def fake_score(self, model: Model, folder: Path | None, init: Literal["teacher", "random"]) -> Network:
        """A bidirectional network, to follow the student: it starts as the teacher, or at random to show why not."""
        ...


class WeightedFamily(Family, Protocol):
    """A family whose networks have weights, under diffusers' names or those of its own release."""

    top: tuple[str, ...]  # names of weights at a network's top, by which it is found in a checkpoint

    def architecture(self, model: Model) -> dict[str, tuple[int, ...]]:
        """The shape of each of a student's weights under diffusers' keys, without diffusers, which takes seconds."""
        ...

    def correction(self, model: Model) -> Network:
        """A fake score at random that is given x_t and a closed form's flow, one after the other in the channels."""
        ...

    def diffusers_keys(self, state: Mapping[str, Tensor], where: str) -> Mapping[str, Tensor]:
        """A state dict under diffusers' names, whichever it had; BadInput where two become one."""
        ...


class TextEncoder(Protocol):
    """Prompts -> {"text": [B, L, D]}: what its module's `read` makes of its settings and a teacher's folder."""

    def __call__(self, prompts: Sequence[str]) -> Condition:
        """The condition of some prompts; the empty prompt is one of them."""
        ...


class Codec(Protocol):
    """Video [B, 3, F, H, W] in [-1, 1] to latents [B, C, T, h, w] of unit scale and back, by its module's `read`."""

    def encode(self, video: Tensor) -> Tensor:
        """Latents of video."""
        ...

    def decode(self, latent: Tensor) -> Tensor:
        """Video of latents."""
        ...


def family_of(model: Model) -> Family:
    """Of a model's teacher."""
    return _module(model.family.kind).FAMILY


def network_family_of(model: Model) -> WeightedFamily:
    """Of a model's student."""
    return _module(model.network.kind).FAMILY


def weighted_families() -> Mapping[str, WeightedFamily]:
    """Every family with weights, by kind."""
    return {kind: _module(kind).FAMILY for kind in WEIGHTED}


def load_text_encoder(settings: encoders.TextEncoder, teacher: Path | None) -> TextEncoder:
    """The encoder that the settings describe, from the teacher's folder where it has weights."""
    return _module(settings.kind).read(settings, teacher)


def load_codec(settings: codecs.Codec, teacher: Path | None) -> Codec | None:
    """The codec that the settings describe, from the teacher's folder; None where latents are the data."""
    return _module(settings.kind).read(settings, teacher) if settings.parts else None


def _module(kind: str) -> Any:
    """Imported when it is first asked for: a stage needs few of them."""
    return import_module(f"{__package__}.{kind}")
