"""What is found of a stage, and what its status says afterwards."""

from dataclasses import replace
from typing import Literal

import pytest

from fastgen_k8s.controller.children import Child
from fastgen_k8s.launch.jobset import JOBSET
from fastgen_k8s.launch.outcome import JobState
from fastgen_k8s.lifecycle.fold import Look, again, begun, fold, stopping
from fastgen_k8s.lifecycle.status import Outcome, StageProgress, StageStatus, rfc3339

NOW, DIGEST = 1_000_000.0, "d" * 64
READY = {
    "metadata": {"labels": {"app.kubernetes.io/component": "trainer"}},
    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
}
JOB = Child(
    backend=JOBSET,
    name="p-kd-1",
    uid="u",
    stage="kd",
    attempt=1,
    digest=DIGEST[:16],
    state=JobState.PENDING,
    suspended=False,
    leaving=False,
    created=NOW - 10,
    said="",
)
WORKS = replace(JOB, state=JobState.RUNNING, pods=(READY, READY))
NEW = StageStatus(name="kd")
QUEUED = begun(NEW, "p-kd-1", 1, 2)
RUNNING = fold(QUEUED, Look(WORKS), NOW - 5)
CRASH, OOM = Outcome(1, "Crashed", "boom"), Outcome(71, "OutOfMemory", "it wanted 9 GiB")


def state(status: StageStatus) -> tuple[str, int, str | None]:
    """What people look at first."""
    return status.state, status.failures, status.exitClass


@pytest.mark.parametrize(
    ("was", "look", "found"),
    [
        (NEW, Look(), ("Waiting", 0, None)),
        (QUEUED, Look(JOB, why="waits for a node"), ("Queued", 0, None)),
        (QUEUED, Look(WORKS), ("Running", 0, None)),
        (RUNNING, Look(replace(JOB, pods=())), ("Running", 0, None)),  # its nodes are lost, new pods will come
        (RUNNING, Look(replace(JOB, state=JobState.FAILED), outcome=CRASH), ("Waiting", 1, "Crashed")),
        (RUNNING, Look(replace(JOB, state=JobState.FAILED), outcome=OOM), ("Waiting", 1, "OutOfMemory")),
        (RUNNING, Look(), ("Waiting", 0, "Gone")),
        (RUNNING, Look(lingering=True), ("Running", 0, None)),
        (RUNNING, Look(replace(JOB, state=JobState.CANCELLED)), ("Stopping", 0, "Gone")),
        (RUNNING, Look(replace(JOB, state=JobState.FAILED), superseded=True), ("Waiting", 0, "Superseded")),
        (stopping(RUNNING, "Suspended"), Look(WORKS), ("Stopping", 0, "Suspended")),
        (stopping(RUNNING, "Suspended"), Look(lingering=True), ("Stopping", 0, "Suspended")),
        (stopping(RUNNING, "Suspended"), Look(), ("Waiting", 0, "Suspended")),
        (stopping(RUNNING, "Superseded"), Look(), ("Waiting", 0, "Superseded")),
        (stopping(RUNNING, "Stalled"), Look(), ("Waiting", 1, "Stalled")),
        (stopping(RUNNING, "DeadlineExceeded"), Look(), ("Waiting", 1, "DeadlineExceeded")),
        (stopping(RUNNING, "Gone"), Look(), ("Waiting", 0, "Gone")),
        (stopping(QUEUED, "Replaced"), Look(), ("Waiting", 0, "Replaced")),
        (
            stopping(RUNNING, "Suspended"),
            Look(replace(JOB, state=JobState.FAILED), outcome=OOM),
            ("Waiting", 1, "OutOfMemory"),
        ),
        (RUNNING, Look(replace(JOB, state=JobState.SUCCEEDED), facts={}), ("Running", 0, None)),  # the plan records it
        (RUNNING, Look(facts={}), ("Running", 0, None)),  # gone, and its artifact is there
    ],
)
def test_a_stage_becomes_what_was_found_of_it(was: StageStatus, look: Look, found: tuple[str, int, str | None]) -> None:
    assert state(fold(was, look, NOW)) == found


def test_a_job_whose_maker_died_before_it_could_write_so_is_adopted() -> None:
    found = fold(NEW, Look(JOB), NOW)
    assert (found.state, found.attempt, found.job) == ("Queued", 1, "p-kd-1")


@pytest.mark.parametrize("end", ["Succeeded", "Failed"])
def test_a_job_that_is_heard_of_after_its_stage_has_ended_changes_nothing_but_is_known(
    end: Literal["Succeeded", "Failed"],
) -> None:
    ended = NEW.model_copy(update={"state": end})
    found = fold(ended, Look(replace(JOB, state=JobState.SUCCEEDED)), NOW)
    assert (found.state, found.attempt, found.job) == (end, 1, "p-kd-1")


def test_a_job_that_works_says_that_it_is_not_as_it_is_wanted_now_and_what_to_do() -> None:
    found = fold(RUNNING, Look(WORKS, differs="image a:1 instead of b:2"), NOW)
    assert found.message == (
        "still runs with image a:1 instead of b:2: suspend and resume, and it goes on so from its checkpoint"
    )
    assert fold(found, Look(WORKS), NOW).message is None


def test_a_failure_is_counted_once() -> None:
    ended = Look(replace(JOB, state=JobState.FAILED), outcome=CRASH)
    once = fold(RUNNING, ended, NOW)
    assert fold(once, Look(replace(JOB, state=JobState.FAILED)), NOW + 1) == once


def test_the_start_of_work_is_when_a_pod_was_first_seen_at_work() -> None:
    later = fold(RUNNING, Look(replace(WORKS, pods=())), NOW)
    assert (RUNNING.startedAt, later.startedAt) == (rfc3339(NOW - 5), rfc3339(NOW - 5))


def test_progress_has_the_time_of_its_last_step_not_of_its_last_look() -> None:
    first = fold(RUNNING, Look(WORKS, progress=StageProgress(step=5, total=10, eta=9)), NOW)
    same = fold(first, Look(WORKS, progress=StageProgress(step=5, total=10, eta=8)), NOW + 10)
    assert (first.progressedAt, same.progressedAt, same.progress) == (
        rfc3339(NOW),
        rfc3339(NOW),
        StageProgress(step=5, total=10, eta=8),
    )


@pytest.mark.parametrize(
    ("was", "look"),
    [
        (stopping(RUNNING, "Suspended"), Look()),
        (RUNNING, Look()),
        (RUNNING, Look(replace(JOB, state=JobState.FAILED), outcome=CRASH)),
    ],
)
def test_an_attempt_that_has_ended_leaves_the_last_checkpoint_that_it_wrote(was: StageStatus, look: Look) -> None:
    before = was.model_copy(update={"checkpoint": 100, "progress": StageProgress(step=110, total=200)})
    found = fold(before, replace(look, progress=StageProgress(step=130, total=200), checkpoint=130), NOW)
    assert (found.state, found.checkpoint, found.progress) == ("Waiting", 130, StageProgress(step=130, total=200))


def test_a_job_that_somebody_has_to_do_something_for_says_so_in_a_word_until_it_works() -> None:
    found = fold(QUEUED, Look(JOB, why="exceeded quota", reason="PodsRefused"), NOW)
    assert (found.reason, fold(found, Look(WORKS), NOW).reason) == ("PodsRefused", None)
    assert (stopping(found, "Suspended").reason, begun(found, "p-kd-2", 2, 2).reason) == (None, None)


def test_a_message_from_a_cluster_is_bounded_and_one_line() -> None:
    message = fold(QUEUED, Look(JOB, why="a\nb" * 5000), NOW).message or ""
    assert (len(message) <= 1024, "\n" in message) == (True, False)


def test_failures_are_counted_with_the_end_of_the_last() -> None:
    twice = fold(begun(fold(RUNNING, Look(outcome=CRASH), NOW), "p-kd-2", 2, 2), Look(outcome=CRASH), NOW + 60)
    assert (twice.failures, twice.exitCode, twice.finishedAt) == (2, 1, rfc3339(NOW + 60))


@pytest.mark.parametrize(("was", "same"), [(RUNNING, True), (RUNNING, False), (stopping(RUNNING, "Stalled"), False)])
def test_a_live_attempt_goes_on_when_a_pipeline_is_looked_at_anew(was: StageStatus, same: bool) -> None:
    assert again(was, same) == was


def test_a_stage_tried_anew_forgets_its_failures_and_keeps_counting_attempts() -> None:
    broken = fold(RUNNING, Look(outcome=OOM), NOW).model_copy(update={"state": "Failed"})
    found = again(broken, same=True)
    assert (found.state, found.failures, found.exitClass, found.attempt) == ("Waiting", 0, None, 1)
