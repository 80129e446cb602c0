"""What can go wrong, as one tree: every error says wanted, found and where, and knows its exit code."""

from typing import ClassVar


class FastgenError(Exception):
    """An error with one clear line for a person and an exit code for a controller."""

    code: ClassVar[int] = 1


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


PERMANENT = frozenset({64, 65, 70, 71})
"""Exit codes that the same work would meet again: nobody restarts them."""
