# pyright: basic
"""Building the networks of an experiment: students, teachers, fake scores, and their weights in and out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fastgen_k8s.diffusion.draws import seeded
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.networks.by_kind import family_of, network_family_of
from fastgen_k8s.networks.discriminator import Discriminator
from fastgen_k8s.networks.folder import check_fits, fill
from fastgen_k8s.networks.network import Network


def build_student(model: Model, teacher: Path | None) -> Network:
    """The student before training: causal where the model has a chunk size, with the teacher's weights if any."""
    return family_of(model).student(model, teacher)


def architecture(model: Model) -> dict[str, tuple[int, ...]]:
    """The shape of each of a student's weights under diffusers' keys; nothing is built."""
    return network_family_of(model).architecture(model)


def check_weights(model: Model, state: Mapping[str, Tensor], where: str) -> None:
    """Refuse weights that are not those of a student (BadInput); nothing is built."""
    own = {name: torch.empty(shape, device="meta") for name, shape in architecture(model).items()}
    check_fits(own, state, where)


def build_teacher(model: Model, teacher: Path | None) -> Network:
    """The frozen teacher: a closed form, or the bidirectional network in the teacher's folder."""
    return family_of(model).teacher(model, teacher).requires_grad_(False).eval()


def build_discriminator(teacher: Network, blocks: Sequence[int]) -> Discriminator:
    """Heads on the outputs of the teacher's given blocks."""
    count, width = teacher.readable
    if count == 0:
        raise Misdescribed("method.gan wants a teacher with blocks, found a closed form")
    if not blocks or max(blocks) >= count:
        raise Misdescribed(f"method.gan.blocks: wanted some of {count} blocks, found {list(blocks)}")
    with seeded("discriminator"):
        return Discriminator(len(blocks), width)


def recompute_activations(network: nn.Module) -> None:
    """Keep the inputs of blocks only and run each again in the backward pass (Chen et al. 2016, arXiv 1604.06174)."""
    for module in network.modules():
        if isinstance(module, Network) and module.weighted is not None:
            module.weighted.enable_gradient_checkpointing()


def load_weights(network: Network, state: Mapping[str, Tensor], where: str) -> None:
    """Copy weights with diffusers' keys into a network; BadInput names what does not fit."""
    fill(_weighted(network), state, where)


def weights(network: Network) -> dict[str, Tensor]:
    """A network's weights under diffusers' keys."""
    return dict(_weighted(network).state_dict())


def save_transformer(network: Network, folder: Path) -> None:
    """Write a network as the `transformer/` of a diffusers folder."""
    _weighted(network).save_pretrained(folder)


def transformer_config(model: Model) -> bytes:
    """The config.json of a student's `transformer/` in a diffusers folder; nothing is built."""
    with torch.device("meta"):
        return _weighted(build_student(model, None)).to_json_string().encode()


def _weighted(network: Network) -> Any:
    if network.weighted is None:
        raise Misdescribed(f"wanted a network with weights, found {type(network).__name__}")
    return network.weighted
