"""Tensors in `.pth` and `.pt` files: written the same every time, read without running any code of theirs."""

import io
import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, cast

import numpy as np
import torch
from torch import Tensor, nn

from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.numbers import check_computes
from fastgen_k8s.networks.plain_pickle import PickleRefused, Window
from fastgen_k8s.networks.pth_file import check_pth

UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
    ArithmeticError,
    struct.error,
    zipfile.BadZipFile,
    OSError,
    RecursionError,
)
"""What a restricted unpickler raises, besides its own error, on bytes that are no pickle of what is wanted."""
_INSTEAD = "; save plain, dense tensors: a DTensor's full_tensor(), or give the whole DCP folder"
# A training loop's iteration is often a numpy scalar, which weights_only refuses unless it is named.
_NUMPY: list[Callable[..., object] | tuple[Callable[..., object], str]] = [
    cast("Callable[..., object]", np.float64(0).__reduce__()[0]),  # numpy's own maker of scalars
    np.dtype,
    *{type(np.dtype(kind)) for kind in "?bhilqBHILQefd"},
]


def to_pth(value: Tensor | Mapping[str, Tensor]) -> bytes:
    """A file that `torch.load(weights_only=True)` reads; equal tensors give equal bytes."""
    buffer = io.BytesIO()
    torch.save(_own(value) if isinstance(value, Tensor) else {name: _own(row) for name, row in value.items()}, buffer)
    return buffer.getvalue()


def from_pth(source: Path | bytes | Window, where: str) -> object:
    """Plain data and tensors in a file; BadInput for anything that is not, or that wants to run code."""
    try:
        if isinstance(source, Path):
            with source.open("rb") as file:
                return _read(Window(file, 0, source.stat().st_size))
        return _read(Window(io.BytesIO(source), 0, len(source)) if isinstance(source, bytes) else source)
    except PickleRefused as error:
        raise BadInput(f"{where}: wanted tensors, found {error}{_instead(str(error))}") from error
    except UNREADABLE as error:
        raise BadInput(f"{where}: wanted tensors, found {_reason(error)}") from error


def _read(file: Window) -> object:
    check_pth(file)
    file.seek(0)
    with torch.serialization.safe_globals(_NUMPY), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Detected pickle protocol")  # what it cannot read is refused
        return torch.load(cast("IO[bytes]", file), weights_only=True, map_location="cpu")


def tensor_from_pth(data: bytes, where: str) -> Tensor:
    """The one tensor in a file (BadInput when it holds something else)."""
    return dense(from_pth(data, where), where)


def dense(value: object, where: str) -> Tensor:
    """A tensor with each of its numbers in memory (BadInput for anything else): a view may show one a million times."""
    if not isinstance(value, Tensor):
        raise BadInput(f"{where}: wanted one tensor, found {type(value).__name__}")
    if type(value) not in (Tensor, nn.Parameter):
        raise BadInput(f"{where}: wanted a plain tensor, found a {type(value).__name__}{_INSTEAD}")
    check_computes(value.dtype, where)
    held = value.untyped_storage().nbytes()
    if value.numel() * value.element_size() > held:
        raise BadInput(f"{where}: wanted a number in memory for each of {list(value.shape)}, found {held} bytes")
    return value


def _own(value: Tensor) -> Tensor:
    return value.detach().cpu().contiguous().clone()  # a view would drag its whole storage into the file


def _instead(refused: str) -> str:
    """torch's makers of tensors are named alike; all but the allowed ones make what is no tensor as others are."""
    return _INSTEAD if "_rebuild_" in refused else ""


def _reason(error: Exception) -> str:
    text = str(error)
    return "something else" + (f" ({text.splitlines()[0][:80]})" if text.startswith("PytorchStreamReader") else "")
