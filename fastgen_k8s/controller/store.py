"""What the controller reads of the store: artifacts' facts and running stages' progress, each timed."""

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from fastgen_k8s.artifacts import find_artifact
from fastgen_k8s.artifacts.progress import Progress, read_progress
from fastgen_k8s.artifacts.single import input_digest
from fastgen_k8s.controller.telemetry import Telemetry
from fastgen_k8s.errors import FastgenError

T = TypeVar("T")

LARGEST_INPUT = 64 << 30  # bytes of a file that no stage makes: it is hashed as it comes, and takes a worker's time


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
        return self._timed("input", lambda: input_digest(uri, LARGEST_INPUT))

    def progress(self, output: str) -> Progress:
        """How far a stage is."""
        return self._timed("progress", lambda: read_progress(output))

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
