# pyright: basic
"""Reading one component of a diffusers folder (`transformer/`, `vae/`, ...), strictly and with one-line errors.

diffusers' own loader only logs when weights are missing or left over, and wants `accelerate` for some classes.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from fastgen_k8s.artifacts.teacher import INDEX, WEIGHTS, read_json, weight_map
from fastgen_k8s.errors import BadInput, failed_io
from fastgen_k8s.networks.numbers import check_computes

_PIECE = 1 << 20  # numbers
_SHARD = "DCP_SHARDING_INFO"  # in the metadata of a file that one process of several has written
UNBUILT = (TypeError, ValueError, RuntimeError, AssertionError, ArithmeticError, LookupError)
"""What diffusers and torch raise on settings that describe no network."""


def component(folder: Path | None, name: str) -> Path:
    """The folder of a component, which must exist."""
    if folder is None:
        raise BadInput(f"wanted a teacher folder with {name}/, found none given")
    if not (folder / name).is_dir():
        raise BadInput(f"{folder}: wanted a folder with {name}/, found {_listing(folder)}")
    return folder / name


def read_config(path: Path, wanted_class: str) -> dict[str, Any]:
    """The config of a diffusers component, without its private entries; it must be of the wanted class."""
    config = read_json(path / "config.json")
    found = config.get("_class_name")
    if found != wanted_class:
        raise BadInput(f"{path / 'config.json'}: wanted a {wanted_class}, found {found}")
    return {name: value for name, value in config.items() if not name.startswith("_")}


def read_component(path: Path) -> dict[str, Tensor]:
    """All weights of a component, from one file or from the files that its index names."""
    state: dict[str, Tensor] = {}
    for file in sorted(set(_index(path).values())) or [WEIGHTS]:
        state |= read_safetensors(path / file)
    return state


def read_tensors(path: Path, names: Sequence[str]) -> dict[str, Tensor]:
    """Those weights of a component that it has, without reading the others."""
    index, state = _index(path), dict[str, Tensor]()
    for file in sorted({index[name] for name in names if name in index}) if index else [WEIGHTS]:
        with _opened(path / file) as content:
            held = set(content.keys())
            state |= {name: _tensor(content, path / file, name) for name in names if name in held}
    return state


def _index(path: Path) -> dict[str, str]:
    """Which file of a component holds which weight; empty where there is one file."""
    index = path / f"{WEIGHTS}{INDEX}"
    return weight_map(index) if index.is_file() else {}


@contextmanager
def _opened(path: Path) -> Generator[safe_open]:
    try:
        if not path.is_file():
            raise BadInput(f"{path}: wanted a file, found none")
        with safe_open(path, "pt") as content:
            if _SHARD in (content.metadata() or {}):
                raise BadInput(
                    f"{path}: wanted whole weights, found one shard of a HuggingFace-storage save ({_SHARD} in its "
                    "metadata); give the consolidated file"
                )
            yield content
    except SafetensorError as error:
        raise BadInput(f"{path}: wanted a whole safetensors file, found {str(error).splitlines()[0]}") from error
    except OSError as error:  # of a name in an index that is none
        raise failed_io(error, path) from error


def read_safetensors(path: Path, names: Iterable[str] | None = None) -> dict[str, Tensor]:
    """The tensors of a safetensors file, all or those of some names."""
    with _opened(path) as content:
        wanted = content.keys() if names is None else names
        return {name: _tensor(content, path, name) for name in wanted}


def safetensors_shapes(path: Path) -> dict[str, tuple[tuple[int, ...], bool]]:
    """Shape of each tensor of a safetensors file, and whether its numbers are floating-point ones; none is read."""
    with _opened(path) as content:
        slices = {name: content.get_slice(name) for name in content.keys()}  # noqa: SIM118  # it is no mapping
        return {name: (tuple(one.get_shape()), "F" in one.get_dtype()) for name, one in slices.items()}


def _tensor(content: safe_open, path: Path, name: str) -> Tensor:
    value = content.get_tensor(name)
    check_computes(value.dtype, f"{path}, {name}")
    return value


def fill(module: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Copy a state into a module's own tensors: every key and shape accounted for, every value finite."""
    own = module.state_dict()
    check_fits(own, state, where)
    with torch.no_grad():
        for name, value in state.items():
            own[name].copy_(value)


def check_fits(own: Mapping[str, Tensor], state: Mapping[str, Tensor], where: str) -> None:
    """Refuse a state that is not one of these tensors' names, shapes and kinds, or not finite (BadInput)."""
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or unknown:
        raise BadInput(f"{where}: wanted the weights of this architecture, found {_difference(missing, unknown)}")
    for name, value in state.items():
        if value.shape != own[name].shape:
            raise BadInput(f"{where}: wanted {name} of shape {list(own[name].shape)}, found {list(value.shape)}")
        if value.is_floating_point() != own[name].is_floating_point():
            raise BadInput(f"{where}: wanted {name} of {own[name].dtype}, found {value.dtype}")
        if not finite(value):
            raise BadInput(f"{where}: wanted finite weights, found a non-finite value in {name}")


def finite(value: Tensor) -> bool:
    """Whether every number is, looked at in pieces, for a whole answer would take as much memory as the tensor."""
    return all(_finite(piece) for piece in value.reshape(-1).split(_PIECE))


def _finite(value: Tensor) -> bool:
    """The smallest floating-point types know no such question, so they are widened."""
    return bool((value.float() if value.is_floating_point() and value.element_size() == 1 else value).isfinite().all())


def first_line(error: Exception) -> str:
    """What an error of somebody else's says, shortly."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _difference(missing: list[str], unknown: list[str]) -> str:
    parts = [("missing", missing), ("unknown", unknown)]
    return " and ".join(f"{len(names)} {word} ({_some(names)})" for word, names in parts if names)


def _some(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _listing(path: Path) -> str:
    if not path.is_dir():
        return "a file" if path.is_file() else "no such folder"
    return _some(sorted(child.name for child in path.iterdir())) or "an empty folder"
