"""How an attempt ended: its exit code as a class with a name, and back."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastgen_k8s.errors import BadInput, Misdescribed, OutOfMemory, Stopped, StoreFailed, Unhealthy
from fastgen_k8s.lifecycle.status import ExitClass, StageStatus

_CLASSES: Mapping[int, ExitClass] = {
    Misdescribed.code: "Misdescribed",
    BadInput.code: "BadInput",
    Unhealthy.code: "Unhealthy",
    OutOfMemory.code: "OutOfMemory",
    StoreFailed.code: "StoreFailed",
}
_CODES: Mapping[ExitClass, int] = {
    "DeadlineExceeded": Stopped.code,
    "GateFailed": Unhealthy.code,  # whatever its job said: that one ended well
    "Stalled": 1,
    **{kind: code for code, kind in _CLASSES.items()},
}


@dataclass(frozen=True)
class Outcome:
    """What an attempt without an artifact came to."""

    code: int
    kind: ExitClass
    said: str

    @classmethod
    def of(cls, code: int, said: str) -> "Outcome":
        """That of an attempt that ended by itself, with this exit code."""
        return cls(code, _CLASSES.get(code, "Crashed"), said)


def code_of(failed: StageStatus) -> int:
    """The exit code that the end of a stage comes to."""
    known = None if failed.exitClass is None else _CODES.get(failed.exitClass)
    return known or failed.exitCode or 1
