"""How far a stage is, in words and as a part of the whole."""

from datetime import UTC, datetime

import pytest

from fastgen_k8s.lifecycle.status import StageProgress, StageStatus
from fastgen_k8s.view.stage import row, shown


@pytest.mark.parametrize(
    ("progress", "live", "words"),
    [
        (StageProgress(step=3, total=9, eta=4, loss=0.12345), True, "3/9, 4 s left, loss 0.1235"),
        (StageProgress(step=3, total=9, eta=7500), True, "3/9, 2 h 5 min left"),
        (StageProgress(step=3, total=9, rate=2.1, eta=4, loss=0.5), True, "3/9, 2.1 steps/s, 4 s left, loss 0.5"),
        (StageProgress(step=3, total=9, rate=2.1, eta=4, loss=0.5), False, "3/9, loss 0.5"),
        (StageProgress(step=3, total=9), True, "3/9"),
        (None, True, ""),
    ],
)
def test_what_is_known_is_said(progress: StageProgress | None, live: bool, words: str) -> None:
    assert shown(progress, live) == words


@pytest.mark.parametrize(
    ("state", "step", "total", "share"),
    [
        ("Running", 3, 9, 1 / 3),
        ("Running", 9, 9, 1.0),
        ("Running", 12, 9, 1.0),
        ("Running", 0, 0, None),
        ("Waiting", 3, 9, None),
    ],
)
def test_the_share_of_the_steps_lies_between_none_and_all_while_some_are_made(
    state: str, step: int, total: int, share: float | None
) -> None:
    stage = StageStatus.parse({"name": "kd", "state": state, "progress": {"step": step, "total": total}}, "test")
    assert row(stage, "train", datetime.now(UTC)).share == share
