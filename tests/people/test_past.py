"""A stage of a local run, by what its runner noted and what is found beside that."""

from datetime import UTC, datetime

import pytest

from fastgen_k8s.people.past import PastSeen, code, row, state_of
from fastgen_k8s.runner.history import Attempt, StageHistory
from fastgen_k8s.view.progress import Progress
from fastgen_k8s.view.rows import PipelineView, plain

BEGAN = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC).timestamp()
NOW = datetime.fromtimestamp(BEGAN + 90, UTC)
OPEN = Attempt(started=BEGAN)


def ended(code: int | None) -> Attempt:
    """A job that ended after ten seconds."""
    return Attempt(started=BEGAN, ended=BEGAN + 10, code=code)


def stage(*attempts: Attempt) -> StageHistory:
    """A stage with these jobs."""
    took = sum(attempt.ended - attempt.started for attempt in attempts if attempt.ended is not None)
    return StageHistory(kind="train", experiment="e", digest="d" * 64, output="o", attempts=attempts, seconds=took)


STATES: list[tuple[StageHistory, PastSeen, str]] = [
    (stage(), PastSeen(), "waiting"),
    (stage(), PastSeen(whole=True), "done"),
    (stage(), PastSeen(works=True), "running"),
    (stage(OPEN), PastSeen(works=True), "running"),
    (stage(OPEN), PastSeen(whole=True, works=True), "done"),
    (stage(OPEN), PastSeen(remote=True), "running"),
    (stage(OPEN), PastSeen(), "stopped"),
    (stage(ended(None)), PastSeen(), "stopped"),
    (stage(ended(75)), PastSeen(), "stopped"),
    (stage(ended(75)), PastSeen(remote=True), "stopped"),
    (stage(ended(65)), PastSeen(), "failed"),
    (stage(ended(0)), PastSeen(), "failed"),
    (stage(ended(1), OPEN), PastSeen(works=True), "running"),
    (stage(ended(1), ended(0)), PastSeen(whole=True), "done"),
]


@pytest.mark.parametrize(("history", "seen", "state"), STATES)
def test_a_state_follows_from_the_last_job_and_what_it_left(history: StageHistory, seen: PastSeen, state: str) -> None:
    assert state_of(history, seen) == state


ROWS: list[tuple[StageHistory, PastSeen, str]] = [
    (stage(), PastSeen(), "kd     train  waiting"),
    (stage(ended(0)), PastSeen(whole=True), "kd     train  done         1  10.0 s"),
    (
        stage(ended(1), OPEN),
        PastSeen(works=True, progress=Progress(3, 9, eta=4)),
        "kd     train  running        2  12:00:00  90.0 s  3/9, 4 s left",
    ),
    (stage(OPEN), PastSeen(remote=True), "kd     train  running        1  12:00:00  90.0 s  on another machine"),
    (
        stage(ended(65)),
        PastSeen(said="broken"),
        "kd     train  failed        1  12:00:00  10.0 s  exit code 65: broken",
    ),
    (stage(ended(1)), PastSeen(), "kd     train  failed        1  12:00:00  10.0 s  exit code 1"),
    (
        stage(ended(75)),
        PastSeen(),
        "kd     train  stopped        1  12:00:00  10.0 s  the same run goes on where it was",
    ),
]


@pytest.mark.parametrize(("history", "seen", "line"), ROWS)
def test_a_stage_is_a_line(history: StageHistory, seen: PastSeen, line: str) -> None:
    assert plain(PipelineView((row("kd", history, seen, NOW),)))[1] == line


DONE, WAITING, FAILED = (stage(ended(0)), PastSeen(whole=True)), (stage(), PastSeen()), (stage(ended(65)), PastSeen())


@pytest.mark.parametrize(
    ("stages", "alive", "ends_with"),
    [
        ([DONE, DONE], False, 0),
        ([DONE, DONE], True, 0),
        ([DONE, WAITING], False, None),
        ([DONE, FAILED, WAITING], False, 65),
        ([DONE, FAILED, WAITING], True, None),
        ([(stage(ended(0)), PastSeen())], False, 1),
    ],
)
def test_a_run_has_ended_when_all_is_there_or_nobody_tries_again(
    stages: list[tuple[StageHistory, PastSeen]], alive: bool, ends_with: int | None
) -> None:
    named = {f"s{index}": one for index, one in enumerate(stages)}
    histories, seen = {name: one[0] for name, one in named.items()}, {name: one[1] for name, one in named.items()}
    assert code(histories, seen, alive) == ends_with
