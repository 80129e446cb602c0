"""The plan, as tables: what was seen, and what is done about it."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgen_k8s.pipeline.plan import (
    DONE,
    Action,
    Failure,
    Observed,
    Record,
    Rest,
    Running,
    StageSeen,
    Start,
    StopJob,
    Wait,
    backoff,
    plan,
)
from fastgen_k8s.pipeline.spec import Bound, Pipeline, Stage

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
NEW, WHOLE, SETTLED = StageSeen(DIGEST), StageSeen(DIGEST, whole=True), StageSeen(DIGEST, whole=True, outcome=DONE)
PASSED = StageSeen(DIGEST, whole=True, facts={"loss": 0.5}, outcome=DONE)
ALIVE = StageSeen(DIGEST, running=(Running(DIGEST[:16], since=0),))


def acted(
    conditions: StageSeen = SETTLED,
    pairs: StageSeen = SETTLED,
    kd: StageSeen = PASSED,
    late: StageSeen = SETTLED,
    now: float = 10.0,
    room: int | None = None,
    stopping: bool = False,
    chosen: frozenset[str] | None = None,
    hold: str | None = None,
) -> list[Action]:
    """What is planned when everything not said otherwise is done."""
    stages = {"conditions": conditions, "pairs": pairs, "kd": kd, "late": late}
    return plan(PIPELINE, Observed(stages, now, room, stopping, chosen, hold))


def failed(*codes: int, ended: float = 0.0) -> StageSeen:
    """A stage whose jobs ended so."""
    return StageSeen(DIGEST, failures=tuple(Failure(code, ended) for code in codes))


@pytest.mark.parametrize(
    ("seen", "actions"),
    [
        (NEW, [Start("pairs")]),
        (ALIVE, [Wait("pairs", "running")]),
        (WHOLE, [Record("pairs", DONE)]),
        (SETTLED, []),
        (replace(WHOLE, running=ALIVE.running), [Wait("pairs", "its job ends")]),
        (failed(64), [Record("pairs", "failed with exit code 64", 64)]),
        (failed(65), [Record("pairs", "failed with exit code 65", 65)]),
        (failed(70), [Record("pairs", "failed with exit code 70", 70)]),
        (failed(71), [Record("pairs", "failed with exit code 71", 71)]),
        (failed(1), [Start("pairs", 2)]),
        (failed(74), [Start("pairs", 2)]),
        (failed(137), [Start("pairs", 2)]),
        (failed(1, ended=9), [Wait("pairs", "tries again after exit code 1", 4.0)]),
        (failed(1, 1), [Record("pairs", "failed with exit code 1, 2 times", 1)]),
        (failed(1, 74), [Record("pairs", "failed with exit code 74, 2 times", 74)]),
        (failed(75), [Record("pairs", "past its deadline of 100 s", 75)]),
        (StageSeen(DIGEST, whole=True, failures=(Failure(1, 0),)), [Record("pairs", DONE)]),
        (StageSeen(DIGEST, failures=(Failure(1, 0, stalled=True),)), [Start("pairs", 2)]),
        (
            StageSeen(DIGEST, failures=(Failure(1, 0), Failure(1, 0, stalled=True))),
            [Record("pairs", "made no progress, 2 times", 1)],
        ),
        (replace(failed(1, ended=9), patience=1.2), [Wait("pairs", "tries again after exit code 1", 5.0)]),
        (StageSeen(DIGEST, outcome="failed with exit code 65"), []),
        (StageSeen(DIGEST, rest=Rest(12.5, "its job was removed")), [Wait("pairs", "its job was removed", 2.5)]),
        (StageSeen(DIGEST, rest=Rest(9.5, "its job was removed")), [Start("pairs")]),
    ],
)
def test_one_stage_is_treated_as_it_was_found(seen: StageSeen, actions: list[Action]) -> None:
    assert acted(pairs=seen, chosen=frozenset({"pairs"})) == actions


@pytest.mark.parametrize(
    ("pairs", "why"),
    [(NEW, "waits for pairs"), (ALIVE, "waits for pairs"), (failed(65), "waits for pairs")],
)
def test_a_stage_waits_for_those_before_it(pairs: StageSeen, why: str) -> None:
    assert Wait("kd", why) in acted(pairs=pairs, kd=NEW)


def test_a_stage_starts_as_soon_as_those_before_it_are_whole() -> None:
    assert Start("kd") in acted(pairs=WHOLE, kd=NEW)


def test_a_stage_starts_while_the_job_of_the_one_before_ends() -> None:
    assert Start("kd") in acted(pairs=replace(WHOLE, running=ALIVE.running), kd=NEW)


def test_what_runs_goes_on_while_nothing_more_may_start() -> None:
    assert acted(pairs=ALIVE, late=NEW, hold="stage kd failed")[:1] == [Wait("pairs", "running")]
    assert acted(kd=NEW, hold="stage late failed") == [Wait("kd", "stage late failed")]


def test_needs_order_stages_without_an_input() -> None:
    assert Wait("late", "waits for pairs") in acted(pairs=NEW, late=NEW)


def test_only_so_many_jobs_run_as_there_is_room() -> None:
    assert [type(action) for action in acted(kd=NEW, late=NEW, room=1)] == [Start, Wait]


def test_with_room_enough_independent_stages_run_together() -> None:
    assert acted(kd=NEW, late=NEW, room=2) == [Start("kd"), Start("late")]


@pytest.mark.parametrize(
    ("seen", "now", "stopping", "chosen", "why"),
    [
        (StageSeen(DIGEST, running=(Running(OLD[:16], 0),)), 10, False, None, "its settings or inputs changed"),
        (ALIVE, 10, True, None, "the run was asked to stop"),
        (ALIVE, 10, False, frozenset({"kd"}), "it is not part of this run"),
        (ALIVE, 101, False, None, "past its deadline"),
        (ALIVE, 51, False, None, "no progress"),
        (StageSeen(DIGEST, running=(Running(DIGEST[:16], 0, progressed=30),)), 81, False, None, "no progress"),
        (
            StageSeen(DIGEST, running=(Running(DIGEST[:16], math.inf, outdated=True),)),
            10,
            False,
            None,
            "it has never worked, and is made anew",
        ),
    ],
)
def test_a_job_that_should_not_go_on_is_stopped(
    seen: StageSeen, now: float, stopping: bool, chosen: frozenset[str] | None, why: str
) -> None:
    found = acted(pairs=seen, now=now, stopping=stopping, chosen=chosen)
    assert found[0] == StopJob("pairs", seen.running[0].digest, why)


def test_a_job_that_has_worked_is_not_stopped_because_another_image_is_wanted() -> None:
    works = StageSeen(DIGEST, running=(Running(DIGEST[:16], 0, outdated=True),))
    assert acted(pairs=works, chosen=frozenset({"pairs"})) == [Wait("pairs", "running")]


def test_a_job_is_asked_to_stop_once() -> None:
    asked = StageSeen(DIGEST, running=(Running(DIGEST[:16], 0, stopping=True),))
    assert not [action for action in acted(pairs=asked, stopping=True) if isinstance(action, StopJob)]


def test_a_new_job_waits_for_the_end_of_an_older_one() -> None:
    seen = StageSeen(DIGEST, running=(Running(OLD[:16], 0),))
    assert Wait("pairs", "an older job has to end first") in acted(pairs=seen)


def test_nothing_is_started_once_the_run_was_asked_to_stop() -> None:
    assert not [action for action in acted(pairs=NEW, kd=NEW, stopping=True) if isinstance(action, Start)]


@pytest.mark.parametrize(("loss", "code"), [(0.5, 0), (1.0, 0), (1.5, 70), (float("nan"), 70), (None, 70)])
def test_a_gate_holds_a_recorded_number_to_its_bounds(loss: float | None, code: int) -> None:
    seen = StageSeen(DIGEST, whole=True, facts={"loss": loss})
    [record] = acted(kd=seen)
    assert isinstance(record, Record)
    assert record.code == code


def test_a_failed_gate_says_number_and_bound() -> None:
    seen = StageSeen(DIGEST, whole=True, facts={"loss": 1.5})
    assert acted(kd=seen) == [Record("kd", "gate loss: wanted at most 1, found 1.5; try: docs/gates.md", 70)]


def test_nothing_is_done_when_everything_is_there() -> None:
    assert acted() == []


@pytest.mark.parametrize(("failures", "seconds"), [(1, 5), (2, 10), (3, 20), (10, 300)])
def test_each_failure_doubles_the_wait_up_to_a_bound(failures: int, seconds: float) -> None:
    assert backoff(failures) == seconds


SEEN = st.builds(
    StageSeen,
    st.just(DIGEST),
    whole=st.booleans(),
    running=st.lists(
        st.builds(Running, st.sampled_from([DIGEST[:16], OLD[:16]]), st.floats(0, 100), st.booleans()), max_size=2
    ).map(tuple),
    failures=st.lists(st.builds(Failure, st.sampled_from([1, 64, 74, 75, 137]), st.floats(0, 100)), max_size=3).map(
        tuple
    ),
    outcome=st.sampled_from([None, DONE]),
)


@given(stages=st.fixed_dictionaries({stage.name: SEEN for stage in PIPELINE.stages}), room=st.integers(1, 4))
def test_whatever_is_seen_no_stage_starts_twice_or_too_early(stages: dict[str, StageSeen], room: int) -> None:
    actions = plan(PIPELINE, Observed(stages, 200.0, room))
    started = [action.stage for action in actions if isinstance(action, Start)]
    assert len(started) == len(set(started))
    for name in started:
        assert not stages[name].whole
        assert not stages[name].running
        before = [stages[earlier] for earlier in PIPELINE.before(PIPELINE.stage(name))]
        assert all(seen.whole or seen.outcome == DONE for seen in before)
    assert len(started) + sum(len(seen.running) for seen in stages.values()) <= max(
        room, sum(len(seen.running) for seen in stages.values())
    )
