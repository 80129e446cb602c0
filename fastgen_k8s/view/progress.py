"""How far a stage is, from the small file that rank 0 replaces beside its artifact."""

import json
from dataclasses import dataclass
from typing import cast

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.errors import FastgenError
from fastgen_k8s.view.rows import span

FILE = "progress.json"
_MOST = 2**53


@dataclass(frozen=True)
class Progress:
    """Steps made of how many, and what they came to; None: it does not say."""

    step: int | None = None
    steps: int | None = None
    rate: float | None = None  # steps a second
    eta: float | None = None  # seconds to the end
    loss: float | None = None

    @property
    def share(self) -> float | None:
        """The part of its steps that is made, from 0 to 1."""
        return None if self.step is None or not self.steps else min(1.0, max(0.0, self.step / self.steps))

    def __str__(self) -> str:
        words = [] if self.step is None else [f"{self.step}/{self.steps}"]
        words += [] if self.rate is None else [f"{self.rate:.3g} steps/s"]
        words += [] if self.eta is None else [f"{_left(self.eta)} left"]
        words += [] if self.loss is None else [f"loss {self.loss:.4g}"]
        return ", ".join(words)


def progress(output: str) -> Progress:
    """What a stage said last of its steps; nothing when it keeps no such file, or one that cannot be read."""
    try:
        said = cast("object", json.loads(store_at(output).find(FILE) or b"{}"))
    except (FastgenError, ValueError, RecursionError):
        return Progress()
    return Progress(
        step=_count(_entry(said, "step")),
        steps=_count(_entry(said, "steps")),
        eta=_number(_entry(said, "eta_seconds")),
        loss=_number(_entry(_entry(said, "losses"), "total")),
    )


def _entry(said: object, name: str) -> object:
    return cast("dict[str, object]", said).get(name) if isinstance(said, dict) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and abs(value) <= _MOST else None


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and abs(value) <= _MOST else None  # nan and inf are not


def _left(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else span(seconds)
