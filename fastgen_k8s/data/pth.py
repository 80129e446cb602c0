"""Tensors in `.pth` and `.pt` files: written the same every time, read without running any code of theirs."""

import io
import pickle
from collections.abc import Mapping

import torch
from torch import Tensor

from fastgen_k8s.errors import BadInput


def to_pth(value: Tensor | Mapping[str, Tensor]) -> bytes:
    """A file that `torch.load(weights_only=True)` reads; equal tensors give equal bytes."""
    buffer = io.BytesIO()
    torch.save(_own(value) if isinstance(value, Tensor) else {name: _own(row) for name, row in value.items()}, buffer)
    return buffer.getvalue()


def tensor_from_pth(data: bytes, where: str) -> Tensor:
    """The one tensor in a file (BadInput when it holds something else)."""
    try:
        value: object = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise BadInput(f"{where}: wanted one tensor, found {str(error).splitlines()[0][:120]}") from error
    if not isinstance(value, Tensor):
        raise BadInput(f"{where}: wanted one tensor, found {type(value).__name__}")
    return value


def _own(value: Tensor) -> Tensor:
    return value.detach().cpu().contiguous().clone()  # a view would drag its whole storage into the file
