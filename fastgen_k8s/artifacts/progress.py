"""The small file beside an artifact in the making that says how far it is: what stages write and everybody reads."""

import json
from dataclasses import dataclass
from typing import cast

from fastgen_k8s.artifacts.manifest import TooLarge
from fastgen_k8s.artifacts.store import store_at

FILE = "progress.json"
"""No part of the artifact; it is replaced as a whole."""
MOST_BYTES = 64 << 10
_MOST = 2**53
_LARGEST = 1e12  # a status holds no larger number


@dataclass(frozen=True)
class Progress:
    """Steps made of how many, and what they came to; None: it does not say."""

    step: int | None = None
    steps: int | None = None
    rate: float | None = None  # steps a second
    eta: float | None = None  # seconds to the end
    loss: float | None = None
    checkpoint: int | None = None  # step of the last one

    @property
    def share(self) -> float | None:
        """The part of its steps that is made, from 0 to 1."""
        return None if self.step is None or not self.steps else min(1.0, max(0.0, self.step / self.steps))


def read_progress(output: str) -> Progress:
    """What a stage said last of its steps; a file that no stage would write says nothing.

    Raises:
        FastgenError: the store could not be asked.
    """
    try:
        return parse_progress(store_at(output).get(FILE, MOST_BYTES))
    except TooLarge:
        return Progress()


def parse_progress(data: bytes | None) -> Progress:
    """The progress in such a file; what is not there, or makes no sense, is not said."""
    try:
        said = cast("object", json.loads(data or b"{}"))
    except (ValueError, RecursionError):
        return Progress()
    return Progress(
        step=_count(_entry(said, "step")),
        steps=_count(_entry(said, "steps")),
        rate=_number(_entry(said, "rate")),
        eta=_number(_entry(said, "eta_seconds")),
        loss=_number(_entry(_entry(said, "losses"), "total")),
        checkpoint=_count(_entry(said, "checkpoint")),
    )


def _entry(said: object, name: str) -> object:
    return cast("dict[str, object]", said).get(name) if isinstance(said, dict) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and 0 <= value <= _MOST and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and abs(value) <= _LARGEST else None  # nan and inf are not
