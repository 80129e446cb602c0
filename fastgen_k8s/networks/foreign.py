"""Reading a network's weights out of any checkpoint that people have: FastGen's, CausVid's, DCP folders, flat files."""

# pyright: basic
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.by_kind import weighted_families
from fastgen_k8s.networks.dcp import read_named
from fastgen_k8s.networks.dcp_description import describe
from fastgen_k8s.networks.folder import read_safetensors, safetensors_shapes
from fastgen_k8s.networks.groups import Entry, Role, WeightGroup, choose, everything, find_groups, some, tops
from fastgen_k8s.networks.pth import dense, from_pth
from fastgen_k8s.printable import shown

_STEP = re.compile(r"(?:(?:global_?)?step|iter(?:ation)?|checkpoint|ckpt)?[-_]?([0-9]{1,18})")
_DEEPEST = 16  # mappings in mappings
_MOST_LETTERS = 64 << 20  # of all names: one mapping may stand in many places
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Weights:
    """A flat state dict with diffusers' keys, and what the file says of itself."""

    state: Mapping[str, Tensor]
    layout: str
    step: int | None = None


@dataclass(frozen=True)
class _Checkpoint:
    """A checkpoint that was looked at, and how its tensors are read."""

    where: str
    kind: str
    entries: Mapping[str, Entry]
    read: Callable[[list[str]], Mapping[str, Any]]
    step: int | None

    def weights(self, group: WeightGroup) -> Weights:
        """The weights of a group, each a tensor."""
        found = self.read(list(group.names.values()))
        for name in group.names.values():
            if not isinstance(found[name], Tensor):
                beside = some(tops(self.entries))
                raise BadInput(
                    f"{self.where}: wanted a tensor under {name!r}, found {type(found[name]).__name__} ({beside})"
                )
            dense(found[name], f"{self.where}, {name}")
        state = {own: found[name] for own, name in group.names.items()}
        return Weights(_diffusers_keys(state, self.where), _layout(self.kind, group.prefix), self.step)

    def fits(self, group: WeightGroup, wanted: Shapes) -> bool:
        """Whether a group has the names and shapes of an architecture."""
        shapes = {own: self.entries[name].shape for own, name in group.names.items()}
        if None in shapes.values():
            return False
        state = {own: torch.empty(cast("tuple[int, ...]", shape), device="meta") for own, shape in shapes.items()}
        found = _diffusers_keys(state, self.where)
        return {name: tuple(value.shape) for name, value in found.items()} == dict(wanted)


def read_weights(
    path: Path, *, role: Role = "student", average: bool = False, architecture: Shapes | None = None
) -> Weights:
    """The weights of a role in a file or a DCP folder, loaded without running any code of it.

    Of several that could be meant the ones that fit the architecture are taken. BadInput where there is no such role or
    average, and where nothing says which of several it is: unnamed weights are the student's, and no average.
    """
    checkpoint = _look(path)
    groups = find_groups(checkpoint.entries, str(path))
    if not groups:
        if role != "student" or average:
            raise BadInput(
                f"{path}: wanted {'averaged' if average else 'raw'} weights of one {role}, "
                f"found {some(tops(checkpoint.entries))}"
            )
        return checkpoint.weights(everything(checkpoint.entries, str(path)))
    fits = {} if architecture is None else {one.prefix: checkpoint.fits(one, architecture) for one in groups}
    return checkpoint.weights(choose(groups, role, average, fits, str(path)))


def read_every(path: Path) -> Iterator[tuple[str, Weights]]:
    """Each network's weights in a file or a DCP folder by their name there, one after the other."""
    checkpoint = _look(path)
    for group in find_groups(checkpoint.entries, str(path)) or [everything(checkpoint.entries, str(path))]:
        yield group.label, checkpoint.weights(group)


def _look(path: Path) -> _Checkpoint:
    if path.is_dir():
        return _dcp(path)
    if not path.is_file():
        raise BadInput(f"{path}: wanted a checkpoint, found none")
    return _safetensors(path) if path.suffix == ".safetensors" else _pickle(path)


def _dcp(path: Path) -> _Checkpoint:
    described = describe(path)
    entries = {
        name: Entry("Tensor", whole.size, whole.dtype.is_floating_point) for name, whole in described.tensors.items()
    }
    return _Checkpoint(
        str(path), "DCP folder", entries, lambda names: read_named(path, described, names), _number(path.name)
    )


def _safetensors(path: Path) -> _Checkpoint:
    entries = {name: Entry("Tensor", *about) for name, about in safetensors_shapes(path).items()}
    return _Checkpoint(str(path), "safetensors", entries, lambda names: read_safetensors(path, names), None)


def _pickle(path: Path) -> _Checkpoint:
    data = from_pth(path, str(path))
    if not isinstance(data, dict):
        raise BadInput(f"{path}: wanted a state dict, found {type(data).__name__}")
    flat, letters = dict[str, Any](), 0
    for name, value in _flat(data):
        letters += len(name)
        if name in flat or letters > _MOST_LETTERS:
            found = f"{name!r} twice" if name in flat else f"more than {_MOST_LETTERS >> 20} MiB of names"
            raise BadInput(f"{path}: wanted each name once, found {found}")
        flat[name] = value
    entries = {name: _entry(value) for name, value in flat.items()}
    step = _iteration(data.get("iteration"), path)
    return _Checkpoint(str(path), "flat", entries, lambda names: {name: flat[name] for name in names}, step)


def _entry(value: object) -> Entry:
    if isinstance(value, Tensor):
        return Entry("Tensor", tuple(value.shape), value.is_floating_point())
    return Entry(type(value).__name__)


def _flat(data: Mapping[Any, Any], above: str = "", depth: int = 1) -> Iterator[tuple[str, Any]]:
    """What lies in nested mappings, by the keys on the way there; below a depth a mapping counts as one thing."""
    for key, value in data.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and value and depth < _DEEPEST:
            yield from _flat(value, f"{name}.", depth + 1)
        else:
            yield name, value


def _layout(kind: str, prefix: str) -> str:
    inside = prefix.removesuffix(".")
    if not inside:
        return kind
    if kind != "flat":
        return f"{kind}, {inside}"
    parts = inside.split(".")
    return "".join(f"{{{part}: " for part in parts) + "..." + "}" * len(parts)


def _diffusers_keys(state: Mapping[str, Tensor], where: str) -> Mapping[str, Tensor]:
    for family in weighted_families().values():
        state = family.diffusers_keys(state, where)
    return state


def _iteration(value: object, path: Path) -> int | None:
    wanted = f"{path}: wanted a whole number under 'iteration'"
    try:
        step = None if value is None else int(cast("int", value))
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise BadInput(f"{wanted}, found {type(value).__name__}") from error
    if step is not None and (isinstance(value, bool) or step != value or step < 0):
        raise BadInput(f"{wanted}, found {shown(value)}")
    return step


def _number(name: str) -> int | None:
    """The step that a folder's name says: digits, with no other word before them than one for a step."""
    found = _STEP.fullmatch(name.split(".")[0])
    return int(found[1]) if found else None
