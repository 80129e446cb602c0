"""What a stage wrote last of its steps."""

from pathlib import Path

import pytest

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.artifacts.progress import FILE, MOST_BYTES, Progress, read_progress


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (
            '{"step": 3, "steps": 9, "rate": 2.1, "eta_seconds": 4.4, "losses": {"total": 0.5}, "checkpoint": 2}',
            Progress(3, 9, 2.1, 4.4, 0.5, 2),
        ),
        ('{"step": 3, "steps": 9}', Progress(3, 9)),
        ('{"step": 3, "steps": 9, "losses": {"total": null}}', Progress(3, 9)),
        ('{"step": 3, "steps": 9, "eta_seconds": Infinity, "losses": {"total": NaN}}', Progress(3, 9)),
        ('{"step": 3, "steps": 9, "eta_seconds": "soon", "losses": []}', Progress(3, 9)),
        ('{"step": -1, "steps": true, "checkpoint": 1e99}', Progress()),
        ("{}", Progress()),
        ("[]", Progress()),
        pytest.param("[" * 100_000, Progress(), id="too deep"),
        ("{", Progress()),
        (None, Progress()),
    ],
)
def test_what_makes_no_sense_is_not_said(content: str | None, wanted: Progress, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "progress.json").write_text(content)
    assert read_progress(str(tmp_path)) == wanted


def test_a_file_that_no_stage_would_write_says_nothing(tmp_path: Path) -> None:
    said = '{"step": 3, "steps": 9}'
    (tmp_path / FILE).write_text(said + " " * (MOST_BYTES - len(said)))
    assert read_progress(str(tmp_path)) == Progress(3, 9)
    (tmp_path / FILE).write_text(said + " " * MOST_BYTES)
    assert read_progress(str(tmp_path)) == Progress()


@pytest.mark.parametrize("said", [Progress(3, 9), Progress(3, 9, 2.1, 4.4, 0.5, 2), Progress(3, 9, loss=None)])
def test_what_is_written_is_what_is_read(said: Progress, tmp_path: Path) -> None:
    said.put(store_at(str(tmp_path)))
    assert read_progress(str(tmp_path)) == said
