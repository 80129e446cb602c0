# pyright: basic
"""Building the networks of an experiment: students, teachers, fake scores, and their weights in and out."""

import inspect
import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fastgen_k8s.diffusion.draws import generator
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.networks.closed_form import ResidualScore, closed_form_teacher
from fastgen_k8s.networks.closed_form_ring import RingTeacher
from fastgen_k8s.networks.discriminator import Discriminator
from fastgen_k8s.networks.folder import UNBUILT, component, fill, first_line, read_component, read_config
from fastgen_k8s.networks.network import Network
from fastgen_k8s.networks.video import FAMILIES, VideoNetwork, family_of


def build_student(model: Model, teacher: Path | None) -> Network:
    """The student before training: causal where the model has a chunk size, with the teacher's weights if any."""
    transformer = _transformer(model, teacher, "student")
    return VideoNetwork(transformer, model.chunk_size, model.window, model.sink)


def architecture(model: Model) -> dict[str, tuple[int, ...]]:
    """The shape of each of a student's weights under diffusers' keys; nothing is built."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in weights(build_student(model, None)).items()}


def build_teacher(model: Model, teacher: Path | None) -> Network:
    """The frozen teacher: a closed form, or the bidirectional network in the teacher's folder."""
    if model.teacher is not None:
        return _frozen(closed_form_teacher(model))
    return _frozen(VideoNetwork(_from_folder(model, component(teacher, "transformer")), None))


def build_fake_score(model: Model, teacher: Path | None, init: Literal["teacher", "random"]) -> Network:
    """The network that follows the student's distribution: it starts as the teacher, or at random to show why not."""
    if init == "random":
        return VideoNetwork(_at_random(model, "fake_score"), None)
    if model.teacher is None:
        return VideoNetwork(_from_folder(model, component(teacher, "transformer")), None)
    # A closed form has no weights to copy: it is corrected by a network that starts at zero.
    correction = VideoNetwork(_at_random(model, "fake_score", sees=2), None)
    return ResidualScore(_frozen(closed_form_teacher(model)), correction)


def build_discriminator(teacher: Network, blocks: Sequence[int]) -> Discriminator:
    """Heads on the outputs of the teacher's given blocks."""
    count, width = _features(teacher)
    if count == 0:
        raise Misdescribed("method.gan wants a teacher with blocks, found a closed form")
    if not blocks or max(blocks) >= count:
        raise Misdescribed(f"method.gan.blocks: wanted some of {count} blocks, found {list(blocks)}")
    with seeded("discriminator"):
        return Discriminator(len(blocks), width)


def recompute_activations(network: nn.Module) -> None:
    """Keep the inputs of blocks only and run each again in the backward pass (Chen et al. 2016, arXiv 1604.06174)."""
    for module in network.modules():
        if isinstance(module, VideoNetwork):
            module.transformer.enable_gradient_checkpointing()


def load_weights(network: Network, state: Mapping[str, Tensor], where: str) -> None:
    """Copy weights with diffusers' keys into a network; BadInput names what does not fit."""
    fill(_weighted(network), state, where)


def weights(network: Network) -> dict[str, Tensor]:
    """A network's weights under diffusers' keys."""
    return dict(_weighted(network).state_dict())


def save_transformer(network: Network, folder: Path) -> None:
    """Write a network as the `transformer/` of a diffusers folder."""
    transformer: Any = _weighted(network)
    transformer.save_pretrained(folder)


def transformer_config(model: Model) -> bytes:
    """The config.json of a student's `transformer/` in a diffusers folder; nothing is built."""
    with torch.device("meta"):
        transformer: Any = _weighted(build_student(model, None))
    return transformer.to_json_string().encode()


@contextmanager
def seeded(*key: int | str) -> Generator[None]:
    """While open, modules initialise from a stream that is a function of the key; nothing is left behind."""
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: that one also seeds the accelerators, which would stay seeded.
        torch.default_generator.manual_seed(generator("initial weights", *key).initial_seed())
        yield


def _weighted(network: Network) -> nn.Module:
    if isinstance(network, VideoNetwork):
        return network.transformer
    raise Misdescribed(f"wanted a network with weights, found {type(network).__name__}")


def _features(teacher: Network) -> tuple[int, int]:
    """How many blocks of a teacher can be read, and their width."""
    if isinstance(teacher, VideoNetwork):
        config = teacher.transformer.config
        return len(teacher.blocks), config["num_attention_heads"] * config["attention_head_dim"]
    if isinstance(teacher, RingTeacher):
        return 1, teacher.videos.shape[0] * teacher.videos.shape[1]
    return 0, 0


def _frozen(network: Network) -> Network:
    return network.requires_grad_(False).eval()


def _transformer(model: Model, teacher: Path | None, role: str) -> Any:
    if model.teacher is None and teacher is not None:
        return _from_folder(model, component(teacher, "transformer"))
    return _at_random(model, role)


def _at_random(model: Model, role: str, sees: int = 1) -> Any:
    """A network for the model's clips that is given `sees` of them at once, one after the other in the channels."""
    with seeded(role):
        transformer = FAMILIES[model.network.kind].build(model.network, sees, model.latent[0])
    _check_fits(transformer, model)
    return transformer


def _from_folder(model: Model, path: Path) -> Any:
    wanted = FAMILIES[model.network.kind].transformer
    settings = read_config(path, wanted.__name__)
    _check_architecture(wanted, settings, model, path)  # before anything of the sizes that a file gives is built
    try:
        transformer = wanted(**settings)
    except UNBUILT as error:
        reason = first_line(error)
        raise BadInput(f"{path / 'config.json'}: wanted a {wanted.__name__}'s settings, found {reason}") from error
    fill(transformer, read_component(path), str(path))
    return transformer


def _check_architecture(kind: type, settings: Mapping[str, Any], model: Model, path: Path) -> None:
    """Refuse a folder of another architecture than the experiment's: a later stage could not take its weights."""
    with torch.device("meta"):
        wanted = _at_random(model, "student").config  # also of what model.network leaves to diffusers' defaults
    parameters = inspect.signature(kind).parameters
    for name in (name for name in wanted if not name.startswith("_")):
        value, found = json.dumps(wanted[name]), json.dumps(settings.get(name, parameters[name].default))
        if found != value:
            raise BadInput(f"{path / 'config.json'}: wanted {name} {value} as in the experiment's model, found {found}")


def _check_fits(transformer: Any, model: Model) -> None:
    """Refuse an experiment whose network does not fit its clips and its text (Misdescribed)."""
    config, family = transformer.config, family_of(transformer)
    _, frames, height, width = model.latent
    _, patch_height, patch_width = config["patch_size"]
    if height % patch_height or width % patch_width:
        patch = f"{patch_height} x {patch_width}"
        raise Misdescribed(f"model.network: wanted patches that divide a latent of {height} x {width}, found {patch}")
    needed, positions = (frames, height // patch_height, width // patch_width), family.positions(transformer)
    if any(a > b for a, b in zip(needed, positions, strict=True)):
        found = f"{family.table} {config[family.table]}"
        raise Misdescribed(f"model.network: wanted positions for model.latent {model.latent}, found {found}")
    if model.text.kind == "labels" and config[family.text] != len(model.text.labels):
        wanted = f"{family.text} {len(model.text.labels)}"
        raise Misdescribed(f"model.network: wanted {wanted}, one a label, found {config[family.text]}")
