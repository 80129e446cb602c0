"""A stage of a local run, by the status that its runner wrote down and what is found beside that."""

from datetime import UTC, datetime

import pytest

from fastgen_k8s.artifacts.progress import Progress
from fastgen_k8s.lifecycle.conditions import code, outcome
from fastgen_k8s.lifecycle.fold import Look, failed, stopping
from fastgen_k8s.lifecycle.status import Outcome, StageStatus, Status, rfc3339
from fastgen_k8s.people.root import standing
from fastgen_k8s.runner.job import LocalJob
from fastgen_k8s.view.rows import PipelineView, plain
from fastgen_k8s.view.stage import row

BEGAN = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC).timestamp()
NOW = BEGAN + 90
NEW = StageStatus(name="kd")
RUNNING = StageStatus(name="kd", state="Running", attempt=1, startedAt=rfc3339(BEGAN))
CRASHED = failed(RUNNING, Outcome.of(1, ""), BEGAN + 10)
BROKEN = failed(RUNNING, Outcome.of(65, ""), BEGAN + 10).model_copy(
    update={"state": "Failed", "message": "failed with exit code 65: broken"}
)
DONE = RUNNING.model_copy(update={"state": "Succeeded", "finishedAt": rfc3339(BEGAN + 10)})
SUSPENDED = stopping(RUNNING, "Suspended").model_copy(
    update={"state": "Waiting", "message": "suspended", "finishedAt": rfc3339(BEGAN + 10)}
)
WHOLE = Look(facts={})
WORKS = Look(LocalJob("kd", "d" * 16, "o", BEGAN))
REFUSED = "BadInput (65): failed with exit code 65: broken"
AGAIN = "the same run goes on where it was"

LINES: list[tuple[StageStatus, Look, str]] = [
    (NEW, Look(), "kd     train  waiting"),
    (NEW, WHOLE, "kd     train  succeeded"),
    (DONE, WHOLE, "kd     train  succeeded        1  12:00:00  10.0 s"),
    (RUNNING, WHOLE, "kd     train  succeeded        1  12:00:00  10.0 s"),
    (
        RUNNING,
        WORKS.told(Progress(3, 9, eta=4)),
        "kd     train  running        1  12:00:00  90.0 s  3/9, 4 s left",
    ),
    (
        RUNNING,
        Look(WORKS.child, why="on another machine"),
        "kd     train  running        1  12:00:00  90.0 s  on another machine",
    ),
    (RUNNING, Look(), f"kd     train  waiting        1  12:00:00  10.0 s  Gone: {AGAIN}"),
    (SUSPENDED, Look(), f"kd     train  waiting        1  12:00:00  10.0 s  Suspended: {AGAIN}"),
    (CRASHED, Look(), f"kd     train  waiting        1  12:00:00  10.0 s  Crashed (1): {AGAIN}"),
    (
        BROKEN,
        Look(),
        f"kd     train  failed        1  12:00:00  10.0 s  {REFUSED}",
    ),
    (BROKEN, WHOLE, "kd     train  succeeded        1  12:00:00  10.0 s"),
    (DONE, Look(), f"kd     train  waiting        1  10.0 s  {AGAIN}"),
]


@pytest.mark.parametrize(("was", "look", "line"), LINES)
def test_a_stage_is_a_line_by_its_status_and_what_is_found(was: StageStatus, look: Look, line: str) -> None:
    now = datetime.fromtimestamp(NOW, UTC)
    assert plain(PipelineView((row(standing(was, look, NOW, False), "train", now, 10.0),)))[1] == line


def test_what_a_runner_will_go_on_with_says_what_the_runner_said() -> None:
    assert standing(SUSPENDED, Look(), NOW, held=True).message == "suspended"


@pytest.mark.parametrize(
    ("stages", "ends_with"),
    [
        ([DONE, DONE], 0),
        ([DONE, NEW], None),
        ([DONE, BROKEN, NEW], 65),
        ([RUNNING, BROKEN, NEW], None),
        ([DONE, CRASHED], None),
    ],
)
def test_a_run_has_ended_when_all_is_there_or_one_has_failed_and_none_works(
    stages: list[StageStatus], ends_with: int | None
) -> None:
    assert code(Status(conditions=(outcome(stages, 0, False, False),), stages=tuple(stages)), 0) == ends_with
