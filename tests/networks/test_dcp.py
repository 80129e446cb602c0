"""DCP folders as other interpreters wrote them, and metadata that want more than a description."""
# pyright: basic

import io
import pickle
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from torch.distributed.checkpoint.state_dict_saver import save

from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.dcp import read_whole

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
TENSORS = {"student.weight": torch.arange(6.0).view(2, 3)}


class _AsPython3110(pickle.Pickler):
    """Writes a member of an enumeration as Python 3.11.0 to 3.11.3 did."""

    def reducer_override(self, obj: Any) -> Any:
        return (getattr, (type(obj), obj.name)) if isinstance(obj, Enum) else NotImplemented


class _Stranger:
    def __reduce__(self) -> Any:
        return (getattr, (torch.Size, "numel"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(TENSORS, storage_writer=FileSystemWriter(tmp_path), no_dist=True)
    return tmp_path


def test_metadata_of_an_early_python_3_11_are_read(folder: Path) -> None:
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    written = io.BytesIO()
    _AsPython3110(written).dump(metadata)
    assert b"getattr" in written.getvalue()
    (folder / ".metadata").write_bytes(written.getvalue())
    assert torch.equal(read_whole(folder, "student.")["weight"], TENSORS["student.weight"])


def test_metadata_that_want_an_attribute_of_anything_else_are_refused(folder: Path) -> None:
    (folder / ".metadata").write_bytes(pickle.dumps(_Stranger()))
    with pytest.raises(BadInput, match=r"a pickle that wants builtins\.getattr of torch\.Size"):
        read_whole(folder, "student.")
