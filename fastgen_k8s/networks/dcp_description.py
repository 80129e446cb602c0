"""What a DCP folder says of its tensors in `.metadata`, as plain records that are checked against its files.

The metadata are a pickle. It is read as data (plain_pickle.py): none of the classes that it names is ever reached.
"""

# pyright: basic
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.plain_pickle import Call, Name, PickleRefused, read_pickle
from fastgen_k8s.networks.pth import UNREADABLE

_LARGEST = 256 << 20  # bytes of `.metadata`, which are 145 a part of a tensor
_LARGEST_NUMBER = 2**63
_TORCH, _FILES = "torch.distributed.checkpoint.metadata", "torch.distributed.checkpoint.filesystem"
_DTYPES = {name: value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}
_ENUM = (_TORCH, "_MEM_FORMAT_ENCODING")
_MEMBER = ("builtins", "getattr")  # of an enumeration, as Python 3.11.0 to 3.11.3 wrote one
_FIELDS = {
    (_TORCH, "BytesStorageMetadata"): set[str](),
    (_TORCH, "ChunkStorageMetadata"): {"offsets", "sizes"},
    (_TORCH, "Metadata"): {"state_dict_metadata", "planner_data", "storage_data", "storage_meta", "version"},
    (_TORCH, "MetadataIndex"): {"fqn", "offset", "index"},
    (_TORCH, "StorageMeta"): {"checkpoint_id", "save_id", "load_id", "modules"},
    (_TORCH, "TensorStorageMetadata"): {"properties", "size", "chunks"},
    (_FILES, "_StorageInfo"): {"relative_path", "offset", "length", "transform_descriptors"},
}
_ALLOWED = {
    *_FIELDS,
    *(("torch", name) for name in _DTYPES),
    _ENUM,
    _MEMBER,
    (_TORCH, "TensorProperties"),
    ("collections", "OrderedDict"),
    ("pathlib", "PosixPath"),
    ("pathlib._local", "PosixPath"),  # its name in Python 3.13
    ("torch", "Size"),
    ("torch.serialization", "_get_layout"),
}


@dataclass(frozen=True)
class Part:
    """A box of a tensor, and where the folder holds it."""

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    file: Path
    start: int  # bytes
    length: int  # bytes


@dataclass(frozen=True)
class Whole:
    """A tensor, and the parts that make it up."""

    dtype: torch.dtype
    size: tuple[int, ...]
    parts: Mapping[tuple[int, ...], Part]  # by their offsets


@dataclass(frozen=True)
class Description:
    """What a folder holds."""

    tensors: Mapping[str, Whole]
    other: frozenset[str]  # names of pickled objects, which nobody reads


def describe(folder: Path) -> Description:
    """The tensors of a DCP folder, none of them larger than its files (BadInput)."""
    path = folder / ".metadata"
    if not path.is_file():
        raise BadInput(f"{folder}: wanted a DCP folder, found no .metadata in it")
    if (size := path.stat().st_size) > _LARGEST:
        raise BadInput(f"{path}: wanted at most {_LARGEST >> 20} MiB, found {size >> 20}")
    try:
        return _description(path.read_bytes(), folder)
    except PickleRefused as error:
        raise BadInput(f"{folder}: wanted a checkpoint, found: {error}") from error
    except UNREADABLE as error:
        raise BadInput(f"{folder}: wanted a checkpoint, found: a .metadata that is none ({_kind(error)})") from error


def _kind(error: Exception) -> str:
    return f"{type(error).__name__} {error}"[:100]


def _description(data: bytes, folder: Path) -> Description:
    said = read_pickle(io.BytesIO(data), _ALLOWED)
    for call in said.calls:
        if (call.what.module, call.what.name) == _MEMBER and call.arguments[:1] != (Name(*_ENUM),):
            raise PickleRefused(f"a pickle that wants {call.what} of {call.arguments[0]}"[:200])
    metadata = _fields(said.value, "Metadata")
    places = dict(_places(_mapping(metadata, "storage_data"), folder))
    _check_apart(places.values())
    tensors, other = dict[str, Whole](), set[str]()
    for name, entry in _mapping(metadata, "state_dict_metadata").items():
        if not isinstance(name, str):
            raise PickleRefused(f"a name that is {type(name).__name__}")
        if isinstance(entry, Call) and entry.what.name == "BytesStorageMetadata":
            other.add(name)
        else:
            tensors[name] = _whole(name, _fields(entry, "TensorStorageMetadata"), places)
    return Description(tensors, frozenset(other))


def _places(storage: Mapping[object, object], folder: Path) -> Iterator[tuple[tuple[str, tuple[int, ...]], Part]]:
    """Where each part is, by the name of its tensor and its offsets there."""
    files = dict[str, tuple[Path, int]]()
    for key, value in storage.items():
        index, info = _fields(key, "MetadataIndex"), _fields(value, "_StorageInfo")
        if "offset" not in index:  # of a pickled object
            continue
        name, relative = index["fqn"], info["relative_path"]
        if not isinstance(name, str) or not isinstance(relative, str):
            raise PickleRefused("a tensor or a file whose name is no text")
        if info.get("transform_descriptors"):
            raise PickleRefused(f"{relative} in a form of its own, which is not read")
        if relative not in files:
            files[relative] = _inside(folder, relative)
        file, size = files[relative]
        start, length = _count(info["offset"]), _count(info["length"])
        if start + length > size:
            raise PickleRefused(f"{length} bytes from {start} on in {relative}, which has {size}")
        offsets = _counts(index["offset"])
        yield (name, offsets), Part(offsets, (), file, start, length)


def _inside(folder: Path, relative: str) -> tuple[Path, int]:
    """A file of the folder and its size; Refused for one that lies elsewhere, also by way of a link."""
    pure = PurePosixPath(relative)
    path = (folder / pure).resolve()
    if pure.is_absolute() or ".." in pure.parts or not path.is_relative_to(folder.resolve()):
        raise PickleRefused(f"a file outside the folder, {relative[:100]!r}")
    if not path.is_file():
        raise PickleRefused(f"no file {relative[:100]!r}")
    return path, path.stat().st_size


def _check_apart(parts: Iterable[Part]) -> None:
    """Refuse bytes that count twice: what is read would be more than the folder holds."""
    end, file = 0, None
    for part in sorted(parts, key=lambda part: (str(part.file), part.start)):
        if part.file == file and part.start < end:
            raise PickleRefused(f"two parts in the same bytes of {part.file.name}")
        file, end = part.file, part.start + part.length


def _whole(name: str, entry: Mapping[str, Any], places: Mapping[tuple[str, tuple[int, ...]], Part]) -> Whole:
    dtype, size, chunks = _dtype(entry["properties"]), _counts(entry["size"]), entry["chunks"]
    if not isinstance(chunks, list) or len(chunks) > len(places):
        raise PickleRefused(f"more parts of {name} than are stored")
    parts = dict[tuple[int, ...], Part]()
    for chunk in (_fields(chunk, "ChunkStorageMetadata") for chunk in chunks):
        offsets, sizes = _counts(chunk["offsets"]), _counts(chunk["sizes"])
        if not len(offsets) == len(sizes) == len(size) or any(
            start + count > all_of_it for start, count, all_of_it in zip(offsets, sizes, size, strict=True)
        ):
            raise PickleRefused(f"a part {list(sizes)} from {list(offsets)} on in {name}, which is {list(size)}")
        place = places.get((name, offsets))
        if place is None or offsets in parts:
            raise PickleRefused(f"no place, or more than one, for the part of {name} from {list(offsets)} on")
        if math.prod(sizes) * dtype.itemsize > place.length:
            raise PickleRefused(f"a part {list(sizes)} of {name} in {place.length} bytes")
        parts[offsets] = Part(offsets, sizes, place.file, place.start, place.length)
    if sum(math.prod(part.sizes) for part in parts.values()) != math.prod(size):
        raise PickleRefused(f"parts of {name} that do not make up its {list(size)}")
    return Whole(dtype, size, parts)


def _fields(value: object, wanted: str) -> dict[str, Any]:
    """The fields of a record of a class, all of them known."""
    if not isinstance(value, Call) or value.what.name != wanted or value.arguments:
        found = str(value.what) if isinstance(value, Call) else type(value).__name__
        raise PickleRefused(f"{found}, wanted {wanted}")
    known, state = _FIELDS[value.what.module, wanted], {} if value.state is None else value.state
    if not isinstance(state, dict) or not state.keys() <= known:
        raise PickleRefused(f"{wanted} with other fields than {', '.join(sorted(known))}")
    return state


def _mapping(fields: Mapping[str, Any], name: str) -> dict[object, object]:
    found = fields.get(name)
    if not isinstance(found, dict):
        raise PickleRefused(f"no {name}")
    return found


def _dtype(properties: object) -> torch.dtype:
    """The first of what TensorProperties writes; what follows is fixed for tensors on a disk."""
    state = properties.state if isinstance(properties, Call) and properties.what.name == "TensorProperties" else None
    first = state[0] if isinstance(state, tuple) and state else None
    if not isinstance(first, Name) or first.module != "torch" or first.name not in _DTYPES:
        raise PickleRefused("a tensor of no type that is known")
    return _DTYPES[first.name]


def _counts(value: object) -> tuple[int, ...]:
    """The numbers of a torch.Size."""
    if isinstance(value, Call) and value.what.name == "Size" and len(value.arguments) == 1:
        numbers = value.arguments[0]
        if isinstance(numbers, tuple):
            return tuple(_count(number) for number in numbers)
    raise PickleRefused("a size that is none")


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LARGEST_NUMBER:
        raise PickleRefused(f"{str(value)[:40]!r} where a count was wanted")
    return value
