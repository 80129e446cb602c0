"""Which calls in the pickle of a `.pth` file make plain tensors and numbers, out of what lies beside them."""

import re
from collections.abc import Callable, Mapping
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
        fits = _CALLS.get((call.what.module, call.what.name))
        stateful = call.state is not None and call.what.name != "dtype"
        if fits is None or stateful or not fits(call):
            raise PickleRefused(f"a pickle that wants {call.what} of something else")


def _is_tensor(call: Call) -> bool:
    """Whether a view of a storage lies in it: its last number is at offset + sum of (size - 1) stride."""
    if len(call.arguments) < 4:
        return False
    stored, offset, size, stride, *rest = call.arguments
    sizes, strides = _counts(size), _counts(stride)
    if not isinstance(stored, Stored) or not isinstance(offset, int) or sizes is None or strides is None:
        return False
    if len(sizes) != len(strides) or offset < 0 or not _is_rest(call.what.name, rest):
        return False
    _, item, held = _storage(stored)
    if call.what.name == "_rebuild_tensor_v3":  # whose storage counts bytes
        held = held * item // _DTYPES[_key(rest[2])].itemsize
    last = offset + sum((count - 1) * step for count, step in zip(sizes, strides, strict=True))
    return (last < held or 0 in sizes) and offset <= held


def _is_rest(name: str, rest: list[object]) -> bool:
    """Whether what follows are a flag, no hooks, a dtype where one is wanted, and no more."""
    if name == "_rebuild_tensor":
        return not rest
    flag_and_hooks, dtype = rest[:2], rest[2:]
    if name == "_rebuild_tensor_v3" and (len(dtype) != 1 or _key(dtype[0]) not in _DTYPES):
        return False
    if name == "_rebuild_tensor_v2" and dtype:
        return False
    return flag_and_hooks in ([True, {}], [False, {}])


def _is_parameter(call: Call) -> bool:
    if len(call.arguments) != 3:
        return False
    tensor, flag, hooks = call.arguments
    return isinstance(tensor, Call) and tensor.what.name in _TENSORS and isinstance(flag, bool) and hooks == {}


def _is_dtype(call: Call) -> bool:
    kind, state = (*call.arguments, None)[0], call.state
    if call.arguments[1:] != (False, True) or not isinstance(kind, str) or not _NUMPY_KIND.fullmatch(kind):
        return False
    return state is None or (isinstance(state, tuple) and state in _NUMPY_STATES)


def _is_scalar(call: Call) -> bool:
    if len(call.arguments) != 2:
        return False
    dtype, data = call.arguments
    encoded = isinstance(data, bytes) or (isinstance(data, Call) and data.what.name == "encode")
    return isinstance(dtype, Call) and dtype.what.name == "dtype" and encoded


def _is_encoded(call: Call) -> bool:
    return len(call.arguments) == 2 and isinstance(call.arguments[0], str) and call.arguments[1] == "latin1"


def _is_size(call: Call) -> bool:
    return len(call.arguments) == 1 and _counts(call.arguments[0]) is not None


def _is_set(call: Call) -> bool:
    items = call.arguments[0] if len(call.arguments) == 1 else None
    return isinstance(items, list) and all(isinstance(i, _PLAIN) for i in cast("list[object]", items))


def _is_counter(call: Call) -> bool:
    counts = call.arguments[0] if len(call.arguments) == 1 else None
    return isinstance(counts, dict) and all(isinstance(n, int) for n in cast("dict[object, object]", counts).values())


def _is_device(call: Call) -> bool:
    return all(isinstance(argument, str | int) for argument in call.arguments)


def _counts(value: object) -> tuple[int, ...] | None:
    """A tuple of counts, or None for anything else."""
    numbers = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (None,)
    counts = tuple(n for n in numbers if isinstance(n, int) and not isinstance(n, bool) and 0 <= n < _LARGEST_NUMBER)
    return counts if len(counts) == len(numbers) else None


def _key(value: object) -> tuple[str, str]:
    return (value.module, value.name) if isinstance(value, Name) else ("", "")


_TENSORS = {"_rebuild_tensor_v2", "_rebuild_tensor_v3"}
_CALLS: Mapping[tuple[str, str], Callable[[Call], bool]] = {
    **{("torch._utils", name): _is_tensor for name in _TENSORS},
    ("torch._utils", "_rebuild_parameter"): _is_parameter,
    ("torch", "Size"): _is_size,
    ("torch", "device"): _is_device,
    ("numpy", "dtype"): _is_dtype,
    ("numpy._core.multiarray", "scalar"): _is_scalar,
    ("_codecs", "encode"): _is_encoded,
    ("builtins", "set"): _is_set,
    ("collections", "Counter"): _is_counter,
}
ALLOWED = {*_CALLS, *_ITEM, *_DTYPES, ("collections", "OrderedDict")}
