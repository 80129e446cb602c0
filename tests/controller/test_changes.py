"""What a change of a pipeline's status adds to the numbers."""

import pytest

from fastgen_k8s.controller.changes import count, events
from fastgen_k8s.controller.telemetry import Telemetry
from fastgen_k8s.lifecycle.status import StageStatus, Status, rfc3339
from fastgen_k8s.pipeline.spec import Pipeline, Stage

KD = "closed_form/gaussian_kd"
PIPELINE = Pipeline(
    stages=(
        Stage(name="conditions", kind="encode", experiment=KD),
        Stage(name="pairs", kind="pairs", experiment=KD),
        Stage(name="kd", kind="train", experiment=KD, inputs={"pairs": "pairs"}, needs=("conditions",)),
    )
)
NOON = 1_767_355_200.0
ENDED = {"conditions": NOON - 60, "pairs": NOON - 7}


def status(attempt: int) -> Status:
    """`kd` has had so many jobs; what it waits for has ended."""
    before = [StageStatus(name=name, state="Succeeded", finishedAt=rfc3339(end)) for name, end in ENDED.items()]
    return Status(stages=(*before, StageStatus(name="kd", state="Queued", attempt=attempt)))


def refused(reason: str | None, message: str) -> Status:
    """`pairs` waits for somebody."""
    return Status(stages=(StageStatus.parse({"name": "pairs", "reason": reason, "message": message}, "test"),))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (Status(), refused("JobRefused", "no"), [("Warning", "JobRefused", "stage pairs: no")]),
        (refused(None, ""), refused("PodsRefused", "no"), [("Warning", "PodsRefused", "stage pairs: no")]),
        (refused(None, ""), refused("SharedPlace", "so"), [("Normal", "SharedPlace", "stage pairs: so")]),
        (refused("JobRefused", "no"), refused("JobRefused", "not yet"), []),
        (refused("JobRefused", "no"), refused(None, ""), []),
    ],
)
def test_what_keeps_a_stage_waiting_is_told_once(before: Status, after: Status, told: list[object]) -> None:
    assert [(one.kind, one.reason, one.message) for one in events(before, after)] == told


@pytest.mark.parametrize(("before", "after", "told"), [(0, 1, 7.0), (0, 0, 0.0), (1, 2, 0.0)])
def test_a_stages_first_job_tells_how_long_after_the_last_stage_before_it_began(
    before: int, after: int, told: float
) -> None:
    telemetry = Telemetry()
    count(status(before), status(after), PIPELINE, telemetry, NOON)
    found = telemetry.registry.get_sample_value("fastgen_stage_wait_seconds_sum", {"kind": "train"})
    assert (found or 0.0) == told
