"""What the controller reads of the store: artifacts' facts and running stages' progress, each timed."""

import json
import time
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from fastgen_k8s.artifacts import find_artifact, store_at
from fastgen_k8s.artifacts.single import input_digest
from fastgen_k8s.controller.status import Progress
from fastgen_k8s.controller.telemetry import Telemetry
from fastgen_k8s.errors import FastgenError

PROGRESS = "progress.json"
T = TypeVar("T")


class Artifacts:
    """Reads of the store; each may raise a FastgenError."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def facts(self, output: str) -> Mapping[str, object] | None:
        """What a whole artifact records; None while it is not whole."""
        artifact = self._timed("artifact", lambda: find_artifact(output))
        return None if artifact is None else artifact.manifest.facts

    def digest(self, uri: str) -> str:
        """The digest of an input that no stage makes."""
        return self._timed("input", lambda: input_digest(uri))

    def progress(self, output: str) -> tuple[Progress | None, int | None]:
        """How far a stage is, and the step of its last checkpoint."""
        return read_progress(self._timed("progress", lambda: store_at(output).find(PROGRESS)))

    def _timed(self, operation: str, read: Callable[[], T]) -> T:
        began = time.monotonic()
        result = "ok"
        try:
            return read()
        except FastgenError:
            result = "failed"
            raise
        finally:
            self._telemetry.store.labels(operation, result).observe(time.monotonic() - began)


def read_progress(data: bytes | None) -> tuple[Progress | None, int | None]:
    """The progress that a stage writes beside its artifact; a file that cannot be read says nothing."""
    try:
        said: object = json.loads(data or b"null")
    except ValueError:
        return None, None
    if not isinstance(said, dict):
        return None, None
    given = cast("dict[str, object]", said)
    losses = given.get("losses")
    loss = cast("dict[str, object]", losses).get("total") if isinstance(losses, dict) else None
    step, total, checkpoint = (_count(given.get(name)) for name in ("step", "steps", "checkpoint"))
    if step is None or total is None:
        return None, checkpoint
    eta = _count(given.get("eta_seconds"))
    return Progress(step=step, total=total, rate=_number(given.get("rate")), eta=eta, loss=_number(loss)), checkpoint


def _count(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and 0 <= value <= 2**53 else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and -1e12 <= value <= 1e12 else None
