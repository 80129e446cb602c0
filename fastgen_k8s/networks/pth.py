"""Tensors in `.pth` and `.pt` files: written the same every time, read without running any code of theirs."""

import io
import pickle
import struct
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from fastgen_k8s.errors import BadInput

UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
    struct.error,
    OSError,
    RecursionError,
)
"""What a restricted unpickler raises, besides its own error, on bytes that are no pickle of what is wanted."""
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


def from_pth(source: Path | bytes, where: str) -> object:
    """Plain data and tensors in a file; BadInput for anything that is not, or that wants to run code."""
    try:
        with torch.serialization.safe_globals(_NUMPY), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol")  # what it cannot read is refused
            file = io.BytesIO(source) if isinstance(source, bytes) else source
            return torch.load(file, weights_only=True, map_location="cpu")
    except UNREADABLE as error:
        raise BadInput(f"{where}: wanted tensors, found {_reason(error)}") from error


def tensor_from_pth(data: bytes, where: str) -> Tensor:
    """The one tensor in a file (BadInput when it holds something else)."""
    return dense(from_pth(data, where), where)


def dense(value: object, where: str) -> Tensor:
    """A tensor with all of its numbers in memory (BadInput for anything else)."""
    if not isinstance(value, Tensor):
        raise BadInput(f"{where}: wanted one tensor, found {type(value).__name__}")
    if value.layout != torch.strided or value.is_meta or value.is_quantized:
        found = "none of its numbers" if value.is_meta else str(value.layout).removeprefix("torch.")
        raise BadInput(f"{where}: wanted a plain tensor, found {'a quantized one' if value.is_quantized else found}")
    return value


def _own(value: Tensor) -> Tensor:
    return value.detach().cpu().contiguous().clone()  # a view would drag its whole storage into the file


def _reason(error: Exception) -> str:
    text = str(error)
    for line in text.splitlines():
        if "Unsupported global" in line or "GLOBAL" in line:
            return f"a pickle that wants more than tensors: {line.strip()[:100]}"
    return "something else" + (f" ({text.splitlines()[0][:80]})" if text.startswith("PytorchStreamReader") else "")
