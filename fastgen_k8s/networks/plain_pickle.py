"""What a pickle says, without doing any of it: a class stays a name, and a call stays a record of one.

Nothing outside the records made here can be reached, so nothing can be called or changed by what a file says.
"""

import io
import pickle
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

_LONGEST_INTEGER = 16  # bytes
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # by protocol 2, for Python 2
_ORDERED = ("collections", "OrderedDict")


class PickleRefused(pickle.UnpicklingError):
    """What a file says is more than data, or does not fit the file."""


class Window(io.RawIOBase):
    """`length` bytes of an open file from `start` on, as a file: a read is never given more memory than it fills."""

    def __init__(self, file: BinaryIO, start: int, length: int) -> None:
        super().__init__()
        self.file, self.start, self.length = file, start, length
        self._at = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """The place of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place, which may lie behind the end."""
        place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.length}[whence]
        if place < 0:
            raise ValueError(f"wanted a place in a file, found {place}")
        self._at = place
        return place

    def readinto(self, buffer: Any, /) -> int:
        """Fill as much of a buffer as there is."""
        view = memoryview(buffer).cast("B")
        view = view[: max(0, self.length - self._at)]
        self.file.seek(self.start + self._at)
        count = cast("io.BufferedReader", self.file).readinto(view)
        self._at += count
        return count

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes, all that are left for a negative one."""
        left = max(0, self.length - self._at)
        self.file.seek(self.start + self._at)
        data = self.file.read(left if size is None or size < 0 else min(size, left))
        self._at += len(data)
        return data


@dataclass(frozen=True)
class Name:
    """A class or a function that a pickle names."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Call:
    """What a pickle would call with what, and the state that it would give to the result."""

    what: Name
    arguments: tuple[object, ...]
    state: object = None


@dataclass(eq=False)
class Stored:
    """What a pickle says of bytes that lie beside it."""

    about: object


@dataclass
class Pickle:
    """A pickle's value, and all that it would call or look up on the way there."""

    value: object
    calls: list[Call]
    stored: list[Stored]


def read_pickle(file: BinaryIO | Window, allowed: Collection[tuple[str, str]]) -> Pickle:
    """Read one pickle of protocol 2 to 5; Refused for a name that is not allowed, or something of UNREADABLE."""
    machine = _Machine(file.read, file.readline, allowed)
    while (code := machine.exactly(1)) != b".":
        step = _STEPS.get(code)
        if step is None:
            raise PickleRefused(f"a pickle with the instruction {code!r}")
        step(machine)
    return Pickle(machine.stack.pop(), machine.calls, machine.stored)


@dataclass
class _Machine:
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]
    allowed: Collection[tuple[str, str]]
    stack: list[Any] = field(default_factory=list[Any])
    outer: list[list[Any]] = field(default_factory=list[list[Any]])  # the stacks below each mark
    memo: dict[int, Any] = field(default_factory=dict[int, Any])
    calls: list[Call] = field(default_factory=list[Call])
    stored: list[Stored] = field(default_factory=list[Stored])

    def number(self, form: str, size: int) -> Any:
        return struct.unpack(form, self.read(size))[0]

    def exactly(self, size: int) -> bytes:
        data = self.read(size)
        if len(data) != size:
            raise EOFError("a pickle that ends early")
        return data

    def push(self, value: object) -> None:
        self.stack.append(value)

    def mark(self) -> None:
        self.outer.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.outer.pop()
        return items

    def several(self, count: int) -> None:
        items = [self.stack.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(items)))

    def named(self, module: str, name: str) -> None:
        module = _RENAMED.get(module, module)
        if (module, name) not in self.allowed:
            raise PickleRefused(f"a pickle that wants {module}.{name}"[:200])
        self.stack.append(Name(module, name))

    def named_by_lines(self) -> None:
        module, name = (self.readline().decode().removesuffix("\n") for _ in range(2))
        self.named(module, name)

    def named_by_stack(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise PickleRefused("a pickle that wants what has no name")
        self.named(module, name)

    def call(self) -> None:
        arguments, what = self.stack.pop(), self.stack.pop()
        if not isinstance(what, Name) or not isinstance(arguments, tuple):
            raise PickleRefused("a pickle that calls what has no name")
        if (what.module, what.name) == _ORDERED and not arguments:
            self.stack.append({})
            return
        self.calls.append(Call(what, cast("tuple[object, ...]", arguments)))
        self.stack.append(self.calls[-1])

    def build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, dict):  # attributes of an OrderedDict, which nobody reads
            return
        if not isinstance(target, Call) or target.state is not None:
            raise PickleRefused("a pickle that changes what it did not make")
        target.state = state

    def persistent(self) -> None:
        self.stored.append(Stored(self.stack.pop()))
        self.stack.append(self.stored[-1])

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise PickleRefused("a pickle that appends to what is no list")
        cast("list[Any]", target).extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise PickleRefused("a pickle that sets an item of what is no mapping")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | int | float | Call | None):  # a tuple of tuples may take for ever to hash
                raise PickleRefused(f"a pickle with a {type(key).__name__} as a key")
            target[key] = value

    def integer(self) -> None:
        size = self.number("<B", 1)
        if size > _LONGEST_INTEGER:
            raise PickleRefused(f"a pickle with an integer of {size} bytes")
        self.stack.append(int.from_bytes(self.exactly(size), "little", signed=True))

    def protocol(self) -> None:
        if (found := self.number("<B", 1)) > pickle.HIGHEST_PROTOCOL:
            raise PickleRefused(f"a pickle of protocol {found}")


def _pair(machine: _Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.set_items([key, value])


def _text(form: str, size: int) -> Callable[[_Machine], None]:
    return lambda m: m.push(m.exactly(m.number(form, size)).decode("utf-8", "surrogatepass"))


def _bytes(form: str, size: int) -> Callable[[_Machine], None]:
    return lambda m: m.push(m.exactly(m.number(form, size)))


def _put(machine: _Machine, place: int) -> None:
    machine.memo[place] = machine.stack[-1]


_STEPS: dict[bytes, Callable[[_Machine], Any]] = {
    pickle.PROTO: _Machine.protocol,
    pickle.FRAME: lambda m: m.exactly(8),
    pickle.GLOBAL: _Machine.named_by_lines,
    pickle.STACK_GLOBAL: _Machine.named_by_stack,
    pickle.NEWOBJ: _Machine.call,
    pickle.REDUCE: _Machine.call,
    pickle.BUILD: _Machine.build,
    pickle.BINPERSID: _Machine.persistent,
    pickle.APPEND: lambda m: m.extend([m.stack.pop()]),
    pickle.APPENDS: lambda m: m.extend(m.since_mark()),
    pickle.SETITEM: _pair,
    pickle.SETITEMS: lambda m: m.set_items(m.since_mark()),
    pickle.MARK: _Machine.mark,
    pickle.TUPLE: lambda m: m.push(tuple(m.since_mark())),
    pickle.EMPTY_TUPLE: lambda m: m.push(()),
    pickle.TUPLE1: lambda m: m.several(1),
    pickle.TUPLE2: lambda m: m.several(2),
    pickle.TUPLE3: lambda m: m.several(3),
    pickle.EMPTY_LIST: lambda m: m.push([]),
    pickle.EMPTY_DICT: lambda m: m.push({}),
    pickle.NONE: lambda m: m.push(None),
    pickle.NEWTRUE: lambda m: m.push(True),
    pickle.NEWFALSE: lambda m: m.push(False),
    pickle.BININT: lambda m: m.push(m.number("<i", 4)),
    pickle.BININT1: lambda m: m.push(m.number("<B", 1)),
    pickle.BININT2: lambda m: m.push(m.number("<H", 2)),
    pickle.LONG1: _Machine.integer,
    pickle.BINFLOAT: lambda m: m.push(m.number(">d", 8)),
    pickle.BINUNICODE: _text("<I", 4),
    pickle.SHORT_BINUNICODE: _text("<B", 1),
    pickle.BINBYTES: _bytes("<I", 4),
    pickle.SHORT_BINBYTES: _bytes("<B", 1),
    pickle.SHORT_BINSTRING: _bytes("<B", 1),
    pickle.BINGET: lambda m: m.push(m.memo[m.number("<B", 1)]),
    pickle.LONG_BINGET: lambda m: m.push(m.memo[m.number("<I", 4)]),
    pickle.BINPUT: lambda m: _put(m, m.number("<B", 1)),
    pickle.LONG_BINPUT: lambda m: _put(m, m.number("<I", 4)),
    pickle.MEMOIZE: lambda m: _put(m, len(m.memo)),
}
