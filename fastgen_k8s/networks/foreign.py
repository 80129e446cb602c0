"""Reading a network's weights out of any checkpoint that people have: FastGen's, CausVid's, DCP folders, flat files."""

# pyright: basic
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from torch import Tensor

from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.dcp import read_whole
from fastgen_k8s.networks.folder import read_safetensors
from fastgen_k8s.networks.pth import dense, from_pth

_OPTIMISER = ("optimizer", "optim.")
_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_ROOTS = ("model", "net", "generator", "generator_ema", "student", "transformer", "state_dict")


@dataclass(frozen=True)
class Weights:
    """A flat state dict with diffusers' keys, and what the file says of itself."""

    state: Mapping[str, Tensor]
    layout: str
    step: int | None = None


def read_weights(path: Path, *, ema: bool = False) -> Weights:
    """The weights in a file or a DCP folder, loaded without running any code of it (BadInput otherwise)."""
    if path.is_dir():
        state = {name: value for name, value in read_whole(path, "").items() if not name.startswith(_OPTIMISER)}
        return Weights(_diffusers_keys(state, path), "DCP folder", _number(path.name))
    if not path.is_file():
        raise BadInput(f"{path}: wanted a checkpoint, found none")
    if path.suffix == ".safetensors":
        return Weights(_diffusers_keys(read_safetensors(path), path), "safetensors")
    return _from_pickle(from_pth(path, str(path)), path, ema)


def _from_pickle(data: object, path: Path, ema: bool) -> Weights:
    if not isinstance(data, dict):
        raise BadInput(f"{path}: wanted a state dict, found {type(data).__name__}")
    if "generator" in data or "generator_ema" in data:
        name = "generator_ema" if ema else "generator"
        if name not in data:
            raise BadInput(f"{path}: wanted {name!r}, found {', '.join(sorted(map(str, data)))}")
        return Weights(_diffusers_keys(data[name], path), f"{{{name}: ...}}")
    if isinstance(data.get("model"), dict):
        state = _diffusers_keys(data["model"].get("net", data["model"]), path)
        return Weights(state, "{model: {net: ...}}", _iteration(data.get("iteration"), path))
    return Weights(_diffusers_keys(data, path), "flat")


def _diffusers_keys(state: object, path: Path) -> dict[str, Tensor]:
    if not isinstance(state, Mapping):
        raise BadInput(f"{path}: wanted tensors by name, found {type(state).__name__}")
    flat = {_unwrapped(str(name)): value for name, value in state.items()}
    while flat and (root := next((r for r in _ROOTS if all(n.startswith(f"{r}.") for n in flat)), None)):
        flat = {name.removeprefix(f"{root}."): value for name, value in flat.items()}
    for name, value in flat.items():
        if not isinstance(value, Tensor):
            raise BadInput(f"{path}: wanted a tensor under {name!r}, found {type(value).__name__}")
        dense(value, f"{path}, {name}")
    if any(".self_attn." in name for name in flat):  # the original Wan release's names
        flat = convert_wan_transformer_to_diffusers(dict(flat))
    return flat


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _iteration(value: object, path: Path) -> int | None:
    try:
        return None if value is None else int(cast("int", value))
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise BadInput(f"{path}: wanted a whole number under 'iteration', found {type(value).__name__}") from error


def _number(name: str) -> int | None:
    digits = name.split(".")[0].removeprefix("step-")
    return int(digits) if digits.isdigit() else None
