# pyright: basic
"""torch's distributed checkpoint format: parts of tensors written by many processes, read by any number of them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from fastgen_k8s.errors import BadInput, StoreFailed
from fastgen_k8s.networks.dcp_description import Description, Part, Whole, describe
from fastgen_k8s.networks.numbers import check_computes
from fastgen_k8s.networks.plain_pickle import Window
from fastgen_k8s.networks.pth import dense, from_pth


def write_parts(tensors: dict[str, Tensor], folder: Path, group: ProcessGroup | None) -> None:
    """Write this process's parts; StoreFailed on every process when one of them could not."""
    from torch.distributed.checkpoint.api import CheckpointException  # takes a second, and who reads needs none of it
    from torch.distributed.checkpoint.filesystem import FileSystemWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    try:
        save(tensors, storage_writer=FileSystemWriter(folder), process_group=group)
    except CheckpointException as error:
        failure, _ = next(iter(error.failures.values()))
        raise StoreFailed(f"{folder}: {type(failure).__name__} {failure}".splitlines()[0]) from error


def read_into(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Fill tensors, of sharded ones this process's shards, with what the folder holds under their names (BadInput)."""
    described = describe(folder)
    for name, into in tensors.items():
        if name in described.other:
            raise BadInput(f"{folder}: wanted tensors, found a pickled object under {name!r}")
        whole = described.tensors.get(name)
        if whole is None or whole.size != tuple(into.shape):
            found = f"no {name}" if whole is None else f"{list(whole.size)}, not {list(into.shape)}, as {name}"
            raise BadInput(f"{folder}: wanted the tensors of this run, found: {found}")
        _fill(into.detach(), name, whole)


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
    return {name: _fill(torch.zeros(whole.size, dtype=whole.dtype), name, whole) for name, whole in wholes.items()}


def _fill(into: Tensor, name: str, whole: Whole) -> Tensor:
    """Copy from every part what a tensor, or this process's shard of it, has of that part."""
    mine, begin = _shard(into)
    for part in whole.parts.values():
        spans = [
            range(max(first, start), min(first + count, start + length))
            for first, count, start, length in zip(part.offsets, part.sizes, begin, mine.shape, strict=True)
        ]
        if all(spans):
            value = _read_part(whole, part, f"{part.file}, {name}")
            if value.dtype != mine.dtype:  # copying would convert it without a word
                raise BadInput(f"{part.file}: wanted {name} of {mine.dtype}, found {value.dtype}")
            mine[_within(spans, begin)].copy_(value[_within(spans, part.offsets)])
    return into


def _shard(tensor: Tensor) -> tuple[Tensor, Sequence[int]]:
    """What this process has of a tensor, sharing its memory, and where in the whole that begins."""
    if not hasattr(tensor, "__create_chunk_list__"):  # a DTensor's, whose class takes long to import
        return tensor, (0,) * tensor.dim()
    sharded: Any = tensor
    (chunk,) = sharded.__create_chunk_list__()
    return sharded.to_local(), chunk.offsets


def _within(spans: Sequence[range], begin: Sequence[int]) -> tuple[slice, ...]:
    """The same numbers of what begins elsewhere in the whole."""
    return tuple(slice(span.start - first, span.stop - first) for span, first in zip(spans, begin, strict=True))


def _read_part(whole: Whole, part: Part, where: str) -> Tensor:
    """One part of a tensor, of the shape and type that the folder's description gives it (BadInput)."""
    with part.file.open("rb") as file:
        value = dense(from_pth(Window(file, part.start, part.length), where), where)
    if (tuple(value.shape), value.dtype) != (part.sizes, whole.dtype):
        wanted, found = f"{list(part.sizes)} {whole.dtype}", f"{list(value.shape)} {value.dtype}"
        raise BadInput(f"{where}: wanted a part {wanted} as in .metadata, found {found}")
    return value
