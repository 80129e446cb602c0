"""What the controller reads of the store, and how much of it at most."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fastgen_k8s.artifacts.manifest import MANIFEST, MOST_BYTES
from fastgen_k8s.artifacts.progress import FILE, Progress
from fastgen_k8s.controller.store import LARGEST_INPUT, Artifacts
from fastgen_k8s.controller.telemetry import Telemetry
from fastgen_k8s.errors import BadInput


@pytest.fixture
def artifacts() -> Artifacts:
    """The controller's own readings."""
    return Artifacts(Telemetry())


def hole(path: Path, size: int) -> Path:
    """A file that says a size and takes no room."""
    path.write_bytes(b"")
    os.truncate(path, size)
    return path


TOO_LARGE: dict[str, tuple[str, int, Callable[[Artifacts, Path], object]]] = {
    "an artifact's manifest": (MANIFEST, MOST_BYTES + 1, lambda read, path: read.find(str(path.parent))),
    "an input's manifest": (MANIFEST, MOST_BYTES + 1, lambda read, path: read.input(str(path.parent))),
    "an input": ("prompts.txt", LARGEST_INPUT + 1, lambda read, path: read.input(str(path))),
}


@pytest.mark.parametrize("what", TOO_LARGE)
def test_what_is_too_large_is_one_line_and_not_read(artifacts: Artifacts, tmp_path: Path, what: str) -> None:
    name, size, read = TOO_LARGE[what]
    path = hole(tmp_path / name, size)
    with pytest.raises(BadInput, match=rf"{name}: wanted at most {size - 1:,} bytes, found {size:,}"):
        read(artifacts, path)


def test_a_progress_that_is_too_large_says_nothing(artifacts: Artifacts, tmp_path: Path) -> None:
    hole(tmp_path / FILE, MOST_BYTES)
    assert artifacts.progress(str(tmp_path)) == Progress()
