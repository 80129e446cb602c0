"""What is decided about a pipeline from the status of its stages."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from fastgen_k8s.controller.generation import removals
from fastgen_k8s.lifecycle.conditions import columns, outcome
from fastgen_k8s.lifecycle.decide import Decision, decide
from fastgen_k8s.lifecycle.fold import Look, begun, failed
from fastgen_k8s.lifecycle.status import Outcome, StageProgress, StageStatus, Status, rfc3339
from fastgen_k8s.pipeline.spec import Bound, Pipeline, Stage
from tests.lifecycle.test_fold import JOB, NOW, WORKS

EXPERIMENT = "closed_form/gaussian_kd"
PAIRS = Stage(name="pairs", kind="pairs", experiment=EXPERIMENT, inputs={"conditions": "s3://bucket/c"})
KD = Stage(
    name="kd",
    kind="train",
    experiment=EXPERIMENT,
    inputs={"pairs": "pairs"},
    gate={"loss": Bound(max=1)},
    deadline=100,
    progressDeadlineSeconds=50,
)
SIDE = Stage(name="side", kind="report", experiment=EXPERIMENT, needs=("pairs",))
PIPELINE = Pipeline(root="s3://bucket/runs", stages=(PAIRS, KD, SIDE))
DIGESTS = {stage.name: "d" * 64 for stage in PIPELINE.stages}
FRESH = {stage.name: StageStatus(name=stage.name) for stage in PIPELINE.stages}
DONE = FRESH["pairs"].model_copy(update={"state": "Succeeded"})
WORKING = begun(FRESH["kd"], "p-kd-1", 1, 2).model_copy(update={"state": "Running", "startedAt": rfc3339(NOW)})


def decided(
    stages: Mapping[str, StageStatus],
    looks: Mapping[str, Look] | None = None,
    now: float = NOW,
    pipeline: Pipeline = PIPELINE,
    late: bool = False,
) -> Decision:
    """What is decided when nothing is found that is not said."""
    whole = {name: Look() for name in FRESH} | dict(looks or {})
    return decide(pipeline, FRESH | dict(stages), DIGESTS, whole, now, late)


def test_the_first_stage_is_started_and_the_others_say_what_they_wait_for() -> None:
    found = decided({})
    assert found.start == ("pairs",)
    assert found.stages["kd"].message == "waits for pairs"


def test_a_stage_whose_artifact_is_there_starts_no_job() -> None:
    found = decided({}, {"pairs": Look(facts={})})
    assert (found.stages["pairs"].state, found.start) == ("Succeeded", ("kd", "side"))


def test_a_whole_artifact_has_all_of_its_steps_whatever_was_read_last() -> None:
    nearly = WORKING.model_copy(update={"progress": StageProgress(step=90, total=100, eta=3, loss=0.5)})
    found = decided({"pairs": DONE, "kd": nearly}, {"kd": Look(facts={"loss": 0.5})}).stages["kd"]
    assert (found.state, found.progress) == ("Succeeded", StageProgress(step=100, total=100, loss=0.5))


def test_a_broken_gate_ends_the_stage_with_number_and_bound_and_holds_the_rest() -> None:
    found = decided({"pairs": DONE}, {"kd": Look(facts={"loss": 2.5})})
    broken = found.stages["kd"]
    assert (broken.state, broken.exitClass) == ("Failed", "GateFailed")
    assert broken.message == "gate loss: wanted at most 1, found 2.5; try: docs/gates.md"
    after = decided(found.stages)
    assert (after.start, after.stages["side"].message) == ((), "stage kd failed")


def test_a_crash_is_tried_again_after_a_while_and_says_why() -> None:
    crashed = failed(WORKING, Outcome(137, "Crashed", "Killed"), NOW)
    found = decided({"pairs": DONE, "kd": crashed})
    assert found.stages["kd"].message == "tries again after exit code 137: Killed"
    assert found.again is not None and 0 < found.again <= 5 * 1.25
    assert decided(found.stages, now=NOW + 7).start == ("kd", "side")


def test_a_wait_that_goes_on_is_told_in_the_same_words() -> None:
    crashed = failed(WORKING, Outcome(1, "Crashed", "boom"), NOW)
    once = decided({"pairs": DONE, "kd": crashed})
    assert decided(once.stages, now=NOW + 1).stages["kd"] == once.stages["kd"]


@pytest.mark.parametrize(
    ("code", "kind"), [(64, "Misdescribed"), (65, "BadInput"), (70, "Unhealthy"), (71, "OutOfMemory")]
)
def test_what_would_happen_again_is_not_tried_again(code: int, kind: str) -> None:
    crashed = failed(WORKING, Outcome(code, kind, "why"), NOW)  # pyright: ignore[reportArgumentType]
    found = decided({"pairs": DONE, "kd": crashed}).stages["kd"]
    assert (found.state, found.exitClass, found.message) == ("Failed", kind, f"failed with exit code {code}: why")


@pytest.mark.parametrize(
    ("now", "late", "suspend", "why"),
    [
        (NOW + 101, False, False, "DeadlineExceeded"),
        (NOW + 51, False, False, "Stalled"),
        (NOW + 1, False, True, "Suspended"),
        (NOW + 1, True, False, "DeadlineExceeded"),
    ],
)
def test_a_job_that_must_not_go_on_is_stopped_for_a_reason(now: float, late: bool, suspend: bool, why: str) -> None:
    pipeline = PIPELINE.model_copy(update={"suspend": suspend})
    working = WORKING if why != "DeadlineExceeded" else WORKING.model_copy(update={"progressedAt": rfc3339(now)})
    found = decided({"pairs": DONE, "kd": working}, {"kd": Look(WORKS)}, now, pipeline, late).stages["kd"]
    assert (found.state, found.exitClass) == ("Stopping", why)


def test_a_job_goes_on_while_the_store_does_not_say_how_far_it_is() -> None:
    found = decided({"pairs": DONE, "kd": WORKING}, {"kd": Look(WORKS, unread=True)}, NOW + 51).stages["kd"]
    assert found == WORKING


def test_the_next_look_is_at_the_nearest_deadline() -> None:
    assert decided({"pairs": DONE, "kd": WORKING}, {"kd": Look(WORKS)}, NOW + 20).again == 30


@pytest.mark.parametrize(
    ("was", "state"), [(begun(FRESH["kd"], "p-kd-1", 1, 2), ("Stopping", "Replaced")), (WORKING, ("Running", None))]
)
def test_only_a_job_that_has_never_worked_is_replaced(was: StageStatus, state: tuple[str, str | None]) -> None:
    found = decided({"pairs": DONE, "kd": was}, {"kd": Look(JOB, differs="image a instead of b")}).stages["kd"]
    assert (found.state, found.exitClass, found.failures) == (*state, 0)


def test_a_suspended_pipeline_starts_nothing() -> None:
    found = decided({}, pipeline=PIPELINE.model_copy(update={"suspend": True}))
    assert (found.start, found.stages["pairs"].message) == ((), "suspended")


BROKEN = FRESH["kd"].model_copy(update={"state": "Failed", "message": "why", "exitClass": "OutOfMemory"})
GATED = BROKEN.model_copy(update={"exitClass": "GateFailed"})


@pytest.mark.parametrize(
    ("stages", "suspended", "late", "found"),
    [
        ((DONE, DONE), False, False, ("True", "Succeeded")),
        ((DONE, WORKING), False, False, ("Unknown", "Running")),
        ((DONE, FRESH["kd"]), False, False, ("Unknown", "Waiting")),
        ((DONE, BROKEN), False, False, ("False", "StageFailed")),
        ((DONE, GATED), False, False, ("False", "GateFailed")),
        ((BROKEN, WORKING), False, False, ("Unknown", "Failing")),
        ((DONE, WORKING), True, False, ("Unknown", "Stopping")),
        ((DONE, FRESH["kd"]), True, False, ("Unknown", "Suspended")),
        ((DONE, WORKING), False, True, ("Unknown", "Stopping")),
        ((DONE, FRESH["kd"]), False, True, ("False", "DeadlineExceeded")),
    ],
)
def test_a_pipeline_is_what_its_stages_are(
    stages: tuple[StageStatus, ...], suspended: bool, late: bool, found: tuple[str, str]
) -> None:
    said = outcome(stages, 1, suspended, late)
    assert (said.status, said.reason) == found
    assert columns(stages, said).status


@pytest.mark.parametrize(
    ("state", "attempt", "ended", "policy", "goes"),
    [
        ("Running", 1, False, "always", False),
        ("Stopping", 1, False, "never", True),
        ("Succeeded", 1, True, "never", False),
        ("Succeeded", 1, True, "succeeded", True),
        ("Succeeded", 1, False, "succeeded", False),  # its artifact is there, its agent not yet gone
        ("Failed", 1, True, "succeeded", False),
        ("Failed", 1, True, "always", True),
        ("Queued", 2, True, "succeeded", False),
        ("Queued", 2, True, "always", True),
        ("Queued", 2, False, "never", True),
        ("Waiting", 1, False, "never", True),  # its attempt is over: somebody's request to make it came late
        ("Failed", 1, False, "never", True),
        ("Waiting", 0, False, "always", False),  # made by somebody who died before it was written down
    ],
)
def test_a_job_is_removed_when_the_stored_status_has_done_with_it(
    state: str, attempt: int, ended: bool, policy: str, goes: bool
) -> None:
    stage = StageStatus.parse({"name": "kd", "state": state, "attempt": attempt}, "test")
    job = replace(JOB, state=JOB.backend.state(ENDED)) if ended else WORKS
    assert (removals(Status(stages=(stage,)), [job], frozenset({"kd"}), policy) == [job]) == goes


ENDED = {"metadata": {}, "spec": {}, "status": {"conditions": [{"type": "Failed", "status": "True"}]}}


@pytest.mark.parametrize(("names", "goes"), [(frozenset[str](), True), (frozenset({"kd"}), False)])
def test_the_job_of_a_stage_that_was_taken_out_is_removed(names: frozenset[str], goes: bool) -> None:
    assert bool(removals(Status(), [WORKS], names, "never")) == goes
