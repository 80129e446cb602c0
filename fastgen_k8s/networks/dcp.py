# pyright: basic
"""torch's distributed checkpoint format: parts of tensors written by many processes, read by any number of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import LoadPlan, LoadPlanner, ReadItem
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.futures import Future

from fastgen_k8s.errors import BadInput, FastgenError, StoreFailed
from fastgen_k8s.networks.dcp_description import Description, Part, Whole, describe
from fastgen_k8s.networks.dcp_whole import read_part


def write_parts(tensors: dict[str, Tensor], folder: Path, group: ProcessGroup | None) -> None:
    """Write this process's parts; StoreFailed on every process when one of them could not."""
    try:
        save(tensors, storage_writer=FileSystemWriter(folder), process_group=group)
    except CheckpointException as error:
        raise StoreFailed(f"{folder}: {_reason(error)}") from error


def read_into(tensors: dict[str, Tensor], folder: Path, group: ProcessGroup | None) -> None:
    """Fill tensors, sharded or not, with what the folder holds under their names (BadInput)."""
    with _one_line(folder):
        load(tensors, storage_reader=_Reader(folder), planner=_Planner(folder), process_group=group)


class _Planner(DefaultLoadPlanner):
    """Plans from what `describe` has checked, for tensors alone: torch's own would unpickle whatever is no tensor."""

    def __init__(self, folder: Path) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)
        self.folder = folder

    @cached_property
    def described(self) -> Description:
        """What the folder holds (BadInput)."""
        return describe(self.folder)

    def set_up_planner(
        self, state_dict: dict[str, Any], metadata: Metadata | None = None, is_coordinator: bool = False
    ) -> None:
        if pickled := sorted(self.described.other & state_dict.keys()):
            raise BadInput(f"{self.folder}: wanted tensors, found a pickled object under {pickled[0]!r}")
        wholes = self.described.tensors
        known: dict[str, TensorStorageMetadata | BytesStorageMetadata] = {
            name: _as_dcp(wholes[name]) for name in state_dict if name in wholes
        }
        super().set_up_planner(state_dict, Metadata(known), is_coordinator)

    def load_bytes(self, read_item: ReadItem, value: object) -> None:
        raise BadInput(f"{self.folder}: wanted tensors, found a pickled object under {read_item.dest_index.fqn!r}")

    def stored(self, index: MetadataIndex) -> tuple[Whole, Part]:
        """A tensor of the folder and the part of it at an offset."""
        whole = self.described.tensors[index.fqn]
        return whole, whole.parts[tuple(index.offset or ())]


class _Reader(FileSystemReader):
    """Reads each part as any other `.pth` file; it is the planner that knows where they are."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        return Metadata({})  # an error in here would be logged with a traceback, and another file be tried

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        pass

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        assert isinstance(planner, _Planner)
        for item in plan.items:
            whole, part = planner.stored(item.storage_index)
            value = read_part(whole, part, f"{part.file}, {item.storage_index.fqn}")
            for dimension, (start, count) in enumerate(zip(item.storage_offsets, item.lengths, strict=True)):
                value = value.narrow(dimension, start, count)
            into = planner.resolve_tensor(item).detach()
            if into.dtype != value.dtype:  # copying would convert it without a word
                name = item.storage_index.fqn
                raise BadInput(f"{part.file}: wanted {name} of {into.dtype}, found {value.dtype}")
            into.copy_(value)
        done = Future[None]()
        done.set_result(None)
        return done


def _as_dcp(whole: Whole) -> TensorStorageMetadata:
    parts = [ChunkStorageMetadata(torch.Size(part.offsets), torch.Size(part.sizes)) for part in whole.parts.values()]
    return TensorStorageMetadata(TensorProperties(dtype=whole.dtype), torch.Size(whole.size), parts)


@contextmanager
def _one_line(folder: Path) -> Iterator[None]:
    try:
        yield
    except CheckpointException as error:
        failure = _failure(error)
        if isinstance(failure, FastgenError):
            raise type(failure)(str(failure)) from error
        raise BadInput(f"{folder}: wanted the tensors of this run, found: {_reason(error)}") from error


def _failure(error: CheckpointException) -> BaseException:
    failure, _ = next(iter(error.failures.values()))
    return failure


def _reason(error: CheckpointException) -> str:
    failure = _failure(error)
    return next(iter(f"{type(failure).__name__} {failure}".splitlines()))
