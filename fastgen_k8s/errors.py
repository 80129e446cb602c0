"""What can go wrong, as one tree: every error says wanted, found and where, and knows its exit code."""

import errno
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import ClassVar

from fastgen_k8s.printable import clean

_LONGEST = 600  # characters of a line; the middle of a longer one is left out
_IN_THE_WAY = frozenset({errno.ENOTDIR, errno.EEXIST})
_NEVER = frozenset({errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP})


class FastgenError(Exception):
    """An error with one clear line for a person and an exit code for a controller."""

    code: ClassVar[int] = 1

    def __str__(self) -> str:
        """One line, whatever a person or a file put into it."""
        line = clean(super().__str__())
        return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"


class Misdescribed(FastgenError):
    """The work is described wrongly: an unknown name, an ill-typed value, an impossible combination."""

    code = 64


class BadInput(FastgenError):
    """An input is missing, partial, or does not fit what the experiment says."""

    code = 65


class Unhealthy(FastgenError):
    """The mathematics went wrong: a non-finite loss or gradient, or a broken health bound."""

    code = 70


class OutOfMemory(FastgenError):
    """The device or the container had less memory than was asked for."""

    code = 71


class StoreFailed(FastgenError):
    """I/O failed in a way that may pass: the store is unreachable or has no space left."""

    code = 74


class Stopped(FastgenError):
    """Asked to stop; a checkpoint is written and the same work can go on later."""

    code = 75


def refuse(error: FastgenError) -> int:
    """Say on stderr what is wrong, and return the exit code."""
    print(f"error: {error}", file=sys.stderr)
    return error.code


PERMANENT = frozenset({64, 65, 70, 71})
"""Exit codes that the same work would meet again: nobody restarts them."""

LOST = 76
"""Between a worker and its agent only: a peer or the group's store was lost, and nothing is known to be wrong here."""


def rank(code: int) -> int:
    """How much an exit code, or a signal below 0, explains of what ended together: 0 most, and what follows from it."""
    order = [code in PERMANENT, code == StoreFailed.code, code not in (0, Stopped.code, LOST), code == LOST, code != 0]
    return order.index(True) if True in order else len(order)


def failed_io(error: OSError, where: object = None) -> FastgenError:
    """An operating system's error in one line: a place that can never be one is BadInput, the rest may pass."""
    place, said = where or error.filename or "output", error.strerror or error
    if error.errno in _IN_THE_WAY:
        return BadInput(f"{place}: wanted a folder on the way there, found a file ({said})")
    return (BadInput if error.errno in _NEVER else StoreFailed)(f"{place}: {said}")


@contextmanager
def io_at(where: object) -> Generator[None]:
    """Say in one line what the operating system has against a place, as `failed_io` does."""
    try:
        yield
    except OSError as error:
        raise failed_io(error, where) from error
