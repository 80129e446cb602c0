"""Which calls in the pickle of a `.pth` file make plain tensors and numbers, out of what lies beside them."""

import re
from collections.abc import Mapping
from typing import cast

import torch

from fastgen_k8s.networks.plain_pickle import Call, Name, Pickle, PickleRefused, Stored

_LARGEST_NUMBER = 2**63
_ITEM: Mapping[tuple[str, str], int] = {
    ("torch.storage", "UntypedStorage"): 1,
    **{("torch", f"{name}Storage"): 1 for name in ("Bool", "Byte", "Char")},
    **{("torch", f"{name}Storage"): 2 for name in ("Short", "Half", "BFloat16")},
    **{("torch", f"{name}Storage"): 4 for name in ("Int", "Float")},
    **{("torch", f"{name}Storage"): 8 for name in ("Long", "Double", "ComplexFloat")},
    ("torch", "ComplexDoubleStorage"): 16,
}
"""Bytes of one number in each kind of storage."""
_DTYPES = {("torch", name): value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}
_NUMPY_KIND = re.compile(r"[?bBhHiIlLqQefd]|[biuf][1248]")
_NUMPY_STATES = [(3, order, None, None, None, -1, -1, 0) for order in "<>|="]  # of dtypes without fields
_PLAIN = str | int | float | None


def storages(said: Pickle) -> dict[str, tuple[int, int]]:
    """Bytes of a number and how many of them, for each storage that a pickle names."""
    found = dict[str, tuple[int, int]]()
    for stored in said.stored:
        key, item, count = _storage(stored)
        if found.setdefault(key, (item, count)) != (item, count):
            raise PickleRefused(f"two kinds of tensor in the same storage {key[:60]!r}")
    return found


def _storage(stored: Stored) -> tuple[str, int, int]:
    about = cast("tuple[object, ...]", stored.about) if isinstance(stored.about, tuple) else ()
    if len(about) == 6 and about[5] is None:  # in a file from before torch 1.6: no view of another storage
        about = about[:5]
    kind, key = (_key(about[1]), about[2]) if len(about) == 5 else (("", ""), None)
    count = _counts(about[4:])
    if about[:1] != ("storage",) or kind not in _ITEM or not isinstance(key, str) or count is None:
        raise PickleRefused("a tensor in a storage of another kind")
    return key, _ITEM[kind], count[0]


def check_calls(said: Pickle) -> None:
    """Refused for a call that makes anything else, or a tensor that does not lie in its storage."""
    for call in said.calls:
        stateful = call.state is not None and call.what.name != "dtype"
        if _key(call.what) not in _CALLED or stateful or not _fits(call):
            raise PickleRefused(f"a pickle that wants {call.what} of something else")


def _fits(call: Call) -> bool:
    """Whether what is called is called as torch and numpy write it."""
    match call.what.name, call.arguments:
        case "_rebuild_tensor_v2", (Stored() as stored, int(offset), size, stride, bool(), hooks):
            return hooks == {} and _lies_inside(_storage(stored)[2], offset, size, stride)
        case "_rebuild_tensor_v3", (Stored() as stored, int(offset), size, stride, bool(), hooks, Name() as dtype):
            _, item, held = _storage(stored)  # which counts bytes
            known = hooks == {} and _key(dtype) in _DTYPES
            return known and _lies_inside(held * item // _DTYPES[_key(dtype)].itemsize, offset, size, stride)
        case "_rebuild_parameter", (Call() as tensor, bool(), hooks):
            return hooks == {} and tensor.what.name in _TENSORS
        case "Size", (counts,):
            return _counts(counts) is not None
        case "device", arguments:
            return all(isinstance(argument, str | int) for argument in arguments)
        case "dtype", (str(kind), False, True):
            return _NUMPY_KIND.fullmatch(kind) is not None and call.state in (None, *_NUMPY_STATES)
        case "scalar", (Call() as dtype, data):
            encoded = isinstance(data, bytes) or (isinstance(data, Call) and data.what.name == "encode")
            return dtype.what.name == "dtype" and encoded
        case "encode", (str(), "latin1"):
            return True
        case "set", (items,) if isinstance(items, list):
            return all(isinstance(item, _PLAIN) for item in cast("list[object]", items))
        case "Counter", (counts,) if isinstance(counts, dict):
            return all(isinstance(count, int) for count in cast("dict[object, object]", counts).values())
        case _:
            return False


def _lies_inside(held: int, offset: int, size: object, stride: object) -> bool:
    """Whether a view of so many numbers lies in them: its last one is at offset + sum of (size - 1) stride."""
    sizes, strides = _counts(size), _counts(stride)
    if sizes is None or strides is None or len(sizes) != len(strides):
        return False
    last = offset + sum((count - 1) * step for count, step in zip(sizes, strides, strict=True))
    return (last < held or 0 in sizes) and 0 <= offset <= held


def _counts(value: object) -> tuple[int, ...] | None:
    """A tuple of counts, or None for anything else."""
    numbers = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (None,)
    counts = tuple(n for n in numbers if isinstance(n, int) and not isinstance(n, bool) and 0 <= n < _LARGEST_NUMBER)
    return counts if len(counts) == len(numbers) else None


def _key(value: object) -> tuple[str, str]:
    return (value.module, value.name) if isinstance(value, Name) else ("", "")


_TENSORS = {"_rebuild_tensor_v2", "_rebuild_tensor_v3"}
_CALLED = {
    *(("torch._utils", name) for name in (*_TENSORS, "_rebuild_parameter")),
    ("torch", "Size"),
    ("torch", "device"),
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "scalar"),
    ("_codecs", "encode"),
    ("builtins", "set"),
    ("collections", "Counter"),
}
ALLOWED = {*_CALLED, *_ITEM, *_DTYPES, ("collections", "OrderedDict")}
