"""The plan, as tables: how a stage stands and what was found of it, and what is done about it."""

from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgen_k8s.lifecycle.decide import Decision, backoff, decide
from fastgen_k8s.lifecycle.fold import Look
from fastgen_k8s.lifecycle.status import LIVE, SETTLED, StageStatus, rfc3339
from fastgen_k8s.pipeline.spec import Bound, Pipeline, Stage
from tests.lifecycle.test_fold import JOB

DIGEST, OLD = "d" * 64, "0" * 64
PIPELINE = Pipeline(
    stages=(
        Stage(name="conditions", kind="encode", experiment="closed_form/gaussian_kd", inputs={"prompts": "a.txt"}),
        Stage(
            name="pairs",
            kind="pairs",
            experiment="closed_form/gaussian_kd",
            inputs={"conditions": "conditions"},
            deadline=100,
            progressDeadlineSeconds=50,
        ),
        Stage(
            name="kd",
            kind="train",
            experiment="closed_form/gaussian_kd",
            inputs={"conditions": "conditions", "pairs": "pairs"},
            gate={"loss": Bound(max=1.0)},
        ),
        Stage(name="late", kind="report", experiment="closed_form/gaussian_kd", needs=("pairs",)),
    )
)
DIGESTS = {stage.name: DIGEST for stage in PIPELINE.stages}
PAIRS = frozenset({"pairs"})


class Found(NamedTuple):
    """A stage as it stands, but for its name, and what was found of it."""

    status: StageStatus
    look: Look = Look()

    @property
    def live(self) -> bool:
        """Whether a job of it goes on."""
        return self.status.state in LIVE and self.look.child is not None


def standing(look: Look | None = None, began: float | None = None, **facts: object) -> Found:
    """A stage with a status of these facts, whose job began to work at a time."""
    started = {} if began is None else {"startedAt": rfc3339(began)}
    return Found(StageStatus.parse({"name": "any", **started, **facts}, "test"), look or Look())


def working(digest: str, began: float, state: str) -> Found:
    """A stage whose job of a digest is alive."""
    return standing(Look(replace(JOB, digest=digest[:16])), began=began, state=state)


NEW, WHOLE, SETTLED_ONE = standing(), standing(Look(facts={})), standing(state="Succeeded")
ALIVE, OUTDATED = working(DIGEST, 0, "Running"), working(OLD, 0, "Running")
ENDING = standing(Look(JOB, facts={}), began=0, state="Running")


def acted(
    conditions: Found = SETTLED_ONE,
    pairs: Found = SETTLED_ONE,
    kd: Found = SETTLED_ONE,
    late: Found = SETTLED_ONE,
    now: float = 10.0,
    room: int | None = None,
    suspend: bool = False,
    chosen: frozenset[str] | None = None,
    refused: str | None = None,
) -> Decision:
    """What is decided when everything not said otherwise is done."""
    found = {"conditions": conditions, "pairs": pairs, "kd": kd, "late": late}
    return of(found, now, room, suspend, chosen, refused)


def of(
    found: dict[str, Found],
    now: float,
    room: int | None,
    suspend: bool = False,
    chosen: frozenset[str] | None = None,
    refused: str | None = None,
) -> Decision:
    """What is decided about all stages."""
    stages = {name: one.status.model_copy(update={"name": name}) for name, one in found.items()}
    pipeline, looks = PIPELINE.model_copy(update={"suspend": suspend}), {name: one.look for name, one in found.items()}
    return decide(pipeline, stages, DIGESTS, looks, now, refused=refused, room=room, chosen=chosen)


def failed(code: int, times: int = 1, ended: float = 0.0, kind: str = "Crashed") -> Found:
    """A stage whose jobs ended, the last one so."""
    return standing(failures=times, exitCode=code, exitClass=kind, finishedAt=rfc3339(ended))


@pytest.mark.parametrize(
    ("found", "started", "state", "message"),
    [
        (NEW, True, "Waiting", None),
        (ALIVE, False, "Running", None),
        (WHOLE, False, "Succeeded", None),
        (SETTLED_ONE, False, "Succeeded", None),
        (ENDING, False, "Running", None),  # its artifact is there, its agent not yet gone
        (failed(64), False, "Failed", "failed with exit code 64"),
        (failed(65), False, "Failed", "failed with exit code 65"),
        (failed(70), False, "Failed", "failed with exit code 70"),
        (failed(71), False, "Failed", "failed with exit code 71"),
        (failed(1), True, "Waiting", None),
        (failed(74), True, "Waiting", None),
        (failed(137), True, "Waiting", None),
        (failed(1, ended=9), False, "Waiting", "tries again after exit code 1"),
        (failed(1, times=2), False, "Failed", "failed with exit code 1, 2 times"),
        (failed(74, times=2), False, "Failed", "failed with exit code 74, 2 times"),
        (failed(75), False, "Failed", "past its deadline of 100 s"),
        (failed(1)._replace(look=Look(facts={})), False, "Succeeded", None),
        (failed(1, kind="Stalled"), True, "Waiting", None),
        (failed(1, times=2, kind="Stalled"), False, "Failed", "made no progress, 2 times"),
        (standing(state="Failed", message="why"), False, "Failed", "why"),
        (
            standing(exitClass="Gone", finishedAt=rfc3339(8)),
            False,
            "Waiting",
            "its job was removed; the stage starts again",
        ),
        (standing(exitClass="Gone", finishedAt=rfc3339(4)), True, "Waiting", None),
    ],
)
def test_one_stage_is_treated_as_it_was_found(found: Found, started: bool, state: str, message: str | None) -> None:
    decision = acted(pairs=found, chosen=PAIRS)
    pairs = decision.stages["pairs"]
    assert (decision.start == ("pairs",), pairs.state, pairs.message) == (started, state, message)
    assert not decision.stop


def test_the_next_look_is_when_a_stage_may_be_tried_again() -> None:
    gone = standing(exitClass="Gone", finishedAt=rfc3339(8))
    assert acted(pairs=gone, chosen=PAIRS).again == 3
    crashed = acted(pairs=failed(1, ended=9), chosen=PAIRS).again
    assert crashed is not None
    assert 4 <= crashed <= 4 + 5 * 0.25  # who failed together does not come back together


@pytest.mark.parametrize("pairs", [NEW, ALIVE, failed(65)])
def test_a_stage_waits_for_those_before_it(pairs: Found) -> None:
    assert acted(pairs=pairs, kd=NEW).stages["kd"].message == "waits for pairs"


def test_a_stage_starts_as_soon_as_those_before_it_are_whole() -> None:
    assert acted(pairs=WHOLE, kd=NEW).start == ("kd",)


def test_a_stage_starts_while_the_job_of_the_one_before_ends() -> None:
    assert acted(pairs=ENDING, kd=NEW).start == ("kd",)


def test_what_runs_goes_on_while_nothing_more_may_start() -> None:
    assert not acted(pairs=ALIVE, late=NEW, refused="generation 2 is refused").stop
    found = acted(kd=NEW, late=standing(state="Failed"))
    assert (found.start, found.stages["kd"].message) == ((), "stage late failed")


def test_needs_order_stages_without_an_input() -> None:
    assert acted(pairs=NEW, late=NEW).stages["late"].message == "waits for pairs"


def test_only_so_many_jobs_run_as_there_is_room() -> None:
    found = acted(kd=NEW, late=NEW, room=1)
    assert (found.start, found.stages["late"].message) == (("kd",), "waits for a running stage")


def test_with_room_enough_independent_stages_run_together() -> None:
    assert acted(kd=NEW, late=NEW, room=2).start == ("kd", "late")


@pytest.mark.parametrize(
    ("found", "now", "suspend", "chosen", "why"),
    [
        (OUTDATED, 10, False, None, "its settings or inputs changed"),
        (ALIVE, 10, True, None, "the run was asked to stop"),
        (ALIVE, 10, False, frozenset({"kd"}), "it is not part of this run"),
        (
            standing(Look(JOB), began=0, state="Running", progressedAt=rfc3339(101)),
            101,
            False,
            None,
            "past its deadline",
        ),
        (ALIVE, 51, False, None, "no progress"),
        (standing(Look(JOB), began=0, state="Running", progressedAt=rfc3339(30)), 81, False, None, "no progress"),
        (standing(Look(JOB, renew=True), state="Queued"), 10, False, None, "it has never worked, and is made anew"),
        (
            standing(Look(JOB, differs="its image"), state="Queued"),
            10,
            False,
            None,
            "it has never worked, and is made anew",
        ),
    ],
)
def test_a_job_that_should_not_go_on_is_stopped(
    found: Found, now: float, suspend: bool, chosen: frozenset[str] | None, why: str
) -> None:
    decision = acted(pairs=found, now=now, suspend=suspend, chosen=chosen)
    assert (decision.stop, decision.stages["pairs"].state) == ({"pairs": why}, "Stopping")


@pytest.mark.parametrize(
    ("found", "now"),
    [
        (standing(Look(JOB, differs="its image"), began=0, state="Running"), 10),  # it has worked
        (standing(Look(JOB), state="Queued"), 1000),  # it does not work yet, so it is never late
        (standing(Look(JOB, unread=True), began=0, state="Running"), 90),  # the store does not say how far it is
        (ENDING, 1000),  # its artifact is there
    ],
)
def test_a_job_that_has_done_nothing_wrong_goes_on(found: Found, now: float) -> None:
    decision = acted(pairs=found, now=now)
    assert (decision.stop, decision.stages["pairs"].state) == ({}, found.status.state)


def test_a_job_is_asked_to_stop_once() -> None:
    asked = standing(Look(JOB), began=0, state="Stopping", exitClass="Suspended")
    assert not acted(pairs=asked, now=1000, suspend=True).stop


def test_a_new_job_waits_for_the_end_of_an_older_one() -> None:
    assert acted(pairs=working(OLD, 0, "Stopping")).start == ()


def test_nothing_is_started_once_the_run_was_asked_to_stop() -> None:
    found = acted(pairs=NEW, kd=NEW, suspend=True)
    assert (found.start, found.stages["pairs"].message) == ((), "suspended")


@pytest.mark.parametrize(("loss", "code"), [(0.5, None), (1.0, None), (1.5, 70), (float("nan"), 70), (None, 70)])
def test_a_gate_holds_a_recorded_number_to_its_bounds(loss: float | None, code: int | None) -> None:
    found = acted(kd=standing(Look(facts={"loss": loss}))).stages["kd"]
    assert (found.state, found.exitCode) == ("Succeeded" if code is None else "Failed", code)


def test_a_failed_gate_says_number_and_bound() -> None:
    found = acted(kd=standing(Look(facts={"loss": 1.5}))).stages["kd"]
    assert found.message == "gate loss: wanted at most 1, found 1.5; try: docs/gates.md"


def test_nothing_is_done_when_everything_is_there() -> None:
    found = acted()
    assert (found.start, found.stop, found.again) == ((), {}, None)
    assert {stage.state for stage in found.stages.values()} == {"Succeeded"}


@pytest.mark.parametrize(("failures", "seconds"), [(1, 5), (2, 10), (3, 20), (10, 300)])
def test_each_failure_doubles_the_wait_up_to_a_bound(failures: int, seconds: float) -> None:
    assert backoff(failures) == seconds


ANY_FAILED = st.builds(failed, st.sampled_from([1, 64, 74, 75, 137]), st.integers(1, 3), st.integers(0, 100))
ANY_LIVE = st.builds(
    working, st.sampled_from([DIGEST, OLD]), st.integers(0, 100), st.sampled_from(["Queued", "Running", "Stopping"])
)
ANY_WHOLE = st.sampled_from([WHOLE, SETTLED_ONE, ENDING, failed(1)._replace(look=Look(facts={}))])
ANY = st.one_of(st.just(NEW), ANY_FAILED, ANY_LIVE, ANY_WHOLE)


@given(stages=st.fixed_dictionaries({stage.name: ANY for stage in PIPELINE.stages}), room=st.integers(1, 4))
def test_whatever_is_seen_no_stage_starts_twice_or_too_early(stages: dict[str, Found], room: int) -> None:
    decision = of(stages, 200.0, room)
    assert len(decision.start) == len(set(decision.start))
    live = sum(found.live for found in stages.values())
    for name in decision.start:
        found = stages[name]
        assert not (found.live or found.status.state in SETTLED or found.look.facts is not None)
        before = [stages[earlier] for earlier in PIPELINE.before(PIPELINE.stage(name))]
        assert all(one.look.facts is not None or one.status.state == "Succeeded" for one in before)
    assert len(decision.start) + live <= max(room, live)
