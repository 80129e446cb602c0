# pyright: basic
"""Whole tensors out of a DCP folder, put together by one process alone; torch's own reader takes a second to import."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.dcp_description import Description, Part, Whole, describe
from fastgen_k8s.networks.numbers import check_computes
from fastgen_k8s.networks.plain_pickle import Window
from fastgen_k8s.networks.pth import dense, from_pth


def read_whole(folder: Path, prefix: str) -> dict[str, Tensor]:
    """The whole tensors whose names begin with a prefix, without it (BadInput)."""
    described = describe(folder)
    found = read_named(folder, described, [name for name in described.tensors if name.startswith(prefix)])
    return {name.removeprefix(prefix): value for name, value in found.items()}


def read_named(folder: Path, described: Description, names: Iterable[str]) -> dict[str, Tensor]:
    """The whole tensors of some names, and no others (BadInput)."""
    wholes = {name: described.tensors[name] for name in names}
    for name, whole in wholes.items():
        check_computes(whole.dtype, f"{folder}, {name}")
    return {name: _put_together(name, whole) for name, whole in wholes.items()}


def _put_together(name: str, whole: Whole) -> Tensor:
    into = torch.zeros(whole.size, dtype=whole.dtype)
    for part in whole.parts.values():
        place = into
        for dimension, (start, count) in enumerate(zip(part.offsets, part.sizes, strict=True)):
            place = place.narrow(dimension, start, count)
        place.copy_(read_part(whole, part, f"{part.file}, {name}"))
    return into


def read_part(whole: Whole, part: Part, where: str) -> Tensor:
    """One part of a tensor, of the shape and type that the folder's description gives it (BadInput)."""
    with part.file.open("rb") as file:
        value = dense(from_pth(Window(file, part.start, part.length), where), where)
    if (tuple(value.shape), value.dtype) != (part.sizes, whole.dtype):
        wanted, found = f"{list(part.sizes)} {whole.dtype}", f"{list(value.shape)} {value.dtype}"
        raise BadInput(f"{where}: wanted a part {wanted} as in .metadata, found {found}")
    return value
