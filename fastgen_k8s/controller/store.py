"""What the controller reads of the store: artifacts' facts and running stages' progress, each timed."""

import time
from collections.abc import Callable
from typing import TypeVar

from fastgen_k8s.artifacts import Artifact, find_artifact
from fastgen_k8s.artifacts.manifest import MOST_BYTES
from fastgen_k8s.artifacts.progress import Progress, read_progress
from fastgen_k8s.artifacts.single import Input, find_input
from fastgen_k8s.controller.telemetry import Telemetry
from fastgen_k8s.errors import FastgenError

T = TypeVar("T")

LARGEST_INPUT = 64 << 30  # bytes of a file that no stage makes: it is hashed as it comes, and takes a worker's time


class Artifacts:
    """Reads of the store; each may raise a FastgenError."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def find(self, output: str) -> Artifact | None:
        """A whole artifact; None while it is not whole."""
        return self._timed("artifact", lambda: find_artifact(output, MOST_BYTES))

    def input(self, uri: str) -> Input:
        """What an input holds that no stage makes."""
        return self._timed("input", lambda: find_input(uri, LARGEST_INPUT, MOST_BYTES))

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
