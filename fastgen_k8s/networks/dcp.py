# pyright: basic
"""torch's distributed checkpoint format: parts of tensors written by many processes, read by any number of them."""

import pickle
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import EnumType
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from fastgen_k8s.errors import BadInput, StoreFailed
from fastgen_k8s.networks.pth import UNREADABLE


def write_parts(tensors: dict[str, Tensor], folder: Path, group: ProcessGroup | None) -> None:
    """Write this process's parts; StoreFailed on every process when one of them could not."""
    try:
        save(tensors, storage_writer=FileSystemWriter(folder), process_group=group)
    except CheckpointException as error:
        raise StoreFailed(f"{folder}: {_reason(error)}") from error


def read_into(tensors: dict[str, Tensor], folder: Path, group: ProcessGroup | None) -> None:
    """Fill tensors, sharded or not, with what the folder holds under their names (BadInput)."""
    with _one_line(folder):
        load(tensors, storage_reader=_Reader(folder), process_group=group)


def read_whole(folder: Path, prefix: str) -> dict[str, Tensor]:
    """The whole tensors whose names begin with a prefix, without it, read by one process alone (BadInput)."""
    reader = _Reader(folder)
    with _one_line(folder), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        into = {
            name: torch.empty(entry.size, dtype=entry.properties.dtype)
            for name, entry in reader.read_metadata().state_dict_metadata.items()
            if name.startswith(prefix) and isinstance(entry, TensorStorageMetadata)
        }
        load(into, storage_reader=reader, no_dist=True)
    return {name.removeprefix(prefix): value for name, value in into.items()}


class _Reader(FileSystemReader):
    """DCP's metadata are a pickle: this reader builds plain descriptions from it and nothing else."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        described = Path(self.path) / ".metadata"
        if not described.is_file():
            raise BadInput(f"{self.path}: wanted a DCP folder, found no .metadata in it")
        try:
            with described.open("rb") as file:
                metadata = _Plain(file).load()
        except (*UNREADABLE, MemoryError) as error:  # of a size that stands in a torn file
            raise pickle.UnpicklingError(str(error) or type(error).__name__) from error
        if not isinstance(metadata, Metadata):
            raise pickle.UnpicklingError(f"wanted DCP metadata, found {type(metadata).__name__}")
        return metadata


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        described = module in {"torch.distributed.checkpoint.metadata", "torch.distributed.checkpoint.filesystem"}
        if (described and name in _DESCRIPTIONS) or (module, name) in _VALUES:
            return super().find_class(module, name)
        if (module, name) == ("builtins", "getattr"):
            return _member
        raise pickle.UnpicklingError(f"a pickle that wants {module}.{name}")


def _member(kind: object, name: object) -> object:
    """A member of an enumeration: Python 3.11.0 to 3.11.3 wrote one as getattr(class, name), and no more is granted."""
    if isinstance(kind, EnumType) and isinstance(name, str) and name in kind.__members__:
        return kind[name]
    raise pickle.UnpicklingError(f"a pickle that wants builtins.getattr of {kind!r}")


_DESCRIPTIONS = {
    "BytesStorageMetadata",
    "ChunkStorageMetadata",
    "Metadata",
    "MetadataIndex",
    "StorageMeta",
    "TensorProperties",
    "TensorStorageMetadata",
    "_MEM_FORMAT_ENCODING",
    "_StorageInfo",
}
_VALUES = {
    ("collections", "OrderedDict"),
    ("pathlib", "PosixPath"),
    ("torch", "Size"),
    ("torch.serialization", "_get_layout"),
    *(("torch", name) for name, value in vars(torch).items() if isinstance(value, torch.dtype)),
}


@contextmanager
def _one_line(folder: Path) -> Iterator[None]:
    try:
        yield
    except CheckpointException as error:
        raise BadInput(f"{folder}: wanted the tensors of this run, found: {_reason(error)}") from error
    except (pickle.UnpicklingError, EOFError, AttributeError, OSError) as error:
        raise BadInput(f"{folder}: wanted a checkpoint, found: {error}") from error


def _reason(error: CheckpointException) -> str:
    failure, _ = next(iter(error.failures.values()))
    return f"{type(failure).__name__} {failure}".splitlines()[0]
