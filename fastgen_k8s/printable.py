"""What others wrote, made fit for a message or a terminal."""

import re
import reprlib

_SHOWN = 160  # characters of a found value
_BITS = 128  # of a number that is written out
_UNFIT = re.compile("[\0\ud800-\udfff\ufeff]")
_CALLED = {"\0": "a NUL byte", "\ufeff": "a byte order mark"}
_SEQUENCES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")  # colours, and what else a terminal is asked for in this way


def clean(text: str) -> str:
    """Text of others on one line, with nothing in it that a terminal obeys."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def unfit(text: str) -> tuple[int, str] | None:
    """Where a text holds what none may, and what that is in words: half a surrogate pair has no UTF-8, a NUL ends a
    word of a command line, and a byte order mark within is where files were put together.
    """
    found = _UNFIT.search(text)
    return found and (found.start(), _CALLED.get(found[0], f"half a surrogate pair (U+{ord(found[0]):04X})"))


def last_drawn(line: str) -> str:
    """A line of a log as a terminal would leave it: without colours, and of a progress bar its last state."""
    return clean(_SEQUENCES.sub("", line.rstrip("\r").rpartition("\r")[2]))


class _Repr(reprlib.Repr):
    """A repr whose length and cost do not depend on how much the value holds, or how often it holds it."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 3, _SHOWN, _SHOWN

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() <= _BITS else f"a number of {x.bit_length()} bits"  # Python may refuse others

    def repr_bytes(self, x: bytes, level: int) -> str:
        return self.repr_instance(x[:_SHOWN], level)


_repr = _Repr().repr


def shown(value: object) -> str:
    """What was found, as a message shows it: its repr, cut short wherever it is long or deep."""
    text = _repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."
