"""A pipeline's object in a cluster, drawn: exact lines for what a controller may say, and lines for all it could."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fastgen_k8s.errors import BadInput
from fastgen_k8s.lifecycle.status import Condition, StageProgress, StageStatus, Status
from fastgen_k8s.people.present import view
from fastgen_k8s.view.rows import drawn, plain

NOW = datetime(2026, 11, 25, 12, 10, 0, tzinfo=UTC)
ACCEPTED = Condition(
    type="Accepted", status="True", reason="Accepted", message="", observedGeneration=1, lastTransitionTime="x"
)


def succeeded(status: str, reason: str, message: str = "", generation: int = 1) -> Condition:
    """What the pipeline as a whole has come to."""
    said = {"status": status, "reason": reason, "message": message, "observedGeneration": generation}
    return Condition.model_validate(said | {"type": "Succeeded", "lastTransitionTime": "x"})


def refused(reason: str) -> Condition:
    """That it cannot run, for now or for ever."""
    return ACCEPTED.model_copy(update={"status": "False", "reason": reason})


def found(status: Status | None, generation: int = 1) -> dict[str, Any]:
    """A pipeline of two stages with that status."""
    stages = [{"name": "pairs", "kind": "pairs"}, {"name": "kd", "kind": "train"}]
    said = {} if status is None else {"status": status.model_dump(mode="json", exclude_none=True)}
    meta = {"namespace": "fastgen", "name": "shapes", "generation": generation}
    return {"metadata": meta, "spec": {"stages": stages}} | said


def of(*stages: StageStatus, conditions: tuple[Condition, ...] = (ACCEPTED,), generation: int = 1) -> Status:
    """A status of these stages."""
    return Status(observedGeneration=generation, conditions=conditions, stages=stages)


DONE = StageStatus(
    name="pairs",
    state="Succeeded",
    attempt=1,
    nodes=2,
    startedAt="2026-11-25T12:00:00Z",
    finishedAt="2026-11-25T12:01:05Z",
)
RUNNING = StageStatus(
    name="kd",
    state="Running",
    attempt=2,
    failures=1,
    nodes=4,
    nodesReady=3,
    progress=StageProgress(step=300, total=400, rate=2.1, eta=48, loss=0.12345),
    checkpoint=250,
    exitCode=137,
    exitClass="Crashed",
    startedAt="2026-11-25T12:05:00Z",
)


def kd(**said: object) -> StageStatus:
    """What is said of the second stage."""
    return StageStatus.model_validate({"name": "kd"} | said)


FAR = "300/400, 2.1 steps/s, 48 s left, loss 0.1235, checkpoint 250"
DRAWINGS: dict[str, tuple[Status | None, list[str]]] = {
    "nobody has looked at it": (
        None,
        [
            "fastgen/shapes: no controller has looked at it yet",
            "stage  kind   state    time",
            "pairs  pairs  waiting",
            "kd     train  waiting",
        ],
    ),
    "one stage runs after a crash": (
        of(DONE, RUNNING, conditions=(ACCEPTED, succeeded("Unknown", "Running", "running: kd"))),
        [
            "fastgen/shapes: Accepted=True (Accepted), Succeeded=Unknown (Running)",
            "Succeeded: running: kd",
            "stage  kind   state      attempt  nodes     began       time",
            "pairs  pairs  succeeded        1         12:00:00     65.0 s",
            f"kd     train  running          2    3/4  12:05:00  5 min 0 s  {FAR}; before: Crashed (137)",
        ],
    ),
    "one stage waits for a node": (
        of(DONE, kd(state="Queued", attempt=1, nodes=4, message="waits for a node of pool spot: 0/3 nodes fit")),
        [
            "fastgen/shapes: Accepted=True (Accepted)",
            "stage  kind   state      attempt  nodes     began    time",
            "pairs  pairs  succeeded        1         12:00:00  65.0 s",
            "kd     train  queued           1    0/4                    waits for a node of pool spot: 0/3 nodes fit",
        ],
    ),
    "one stage waits after a crash": (
        of(DONE, kd(attempt=1, exitCode=1, exitClass="Crashed", message="tries again", checkpoint=8)),
        [
            "fastgen/shapes: Accepted=True (Accepted)",
            "stage  kind   state      attempt     began    time",
            "pairs  pairs  succeeded        1  12:00:00  65.0 s",
            "kd     train  waiting          1                    Crashed (1): tries again; checkpoint 8",
        ],
    ),
    "one stage is asked to end": (
        of(DONE, kd(state="Stopping", attempt=1, nodes=1, nodesReady=1, exitClass="Suspended")),
        [
            "fastgen/shapes: Accepted=True (Accepted)",
            "stage  kind   state      attempt  nodes     began    time",
            "pairs  pairs  succeeded        1         12:00:00  65.0 s",
            "kd     train  stopping         1    1/1                    Suspended",
        ],
    ),
    "one stage has failed": (
        of(
            DONE,
            kd(state="Failed", attempt=1, exitCode=71, exitClass="OutOfMemory", message="wanted 9 GiB, found 8"),
            conditions=(ACCEPTED, succeeded("False", "StageFailed")),
        ),
        [
            "fastgen/shapes: Accepted=True (Accepted), Succeeded=False (StageFailed)",
            "stage  kind   state      attempt     began    time",
            "pairs  pairs  succeeded        1  12:00:00  65.0 s",
            "kd     train  failed           1                    OutOfMemory (71): wanted 9 GiB, found 8",
        ],
    ),
    "its newest settings are not looked at": (
        of(DONE, generation=0),
        [
            "fastgen/shapes: Accepted=True (Accepted)",
            "generation 1 has not been looked at yet, this is generation 0",
            "stage  kind   state      attempt     began    time",
            "pairs  pairs  succeeded        1  12:00:00  65.0 s",
            "kd     train  waiting",
        ],
    ),
    "its newest settings are refused": (
        of(DONE, conditions=(refused("Invalid"), succeeded("Unknown", "Waiting", generation=0)), generation=0),
        [
            "fastgen/shapes: Accepted=False (Invalid), Succeeded=Unknown (Waiting)",
            "generation 1 is refused and starts nothing, this is what became of generation 0",
            "stage  kind   state      attempt     began    time",
            "pairs  pairs  succeeded        1  12:00:00  65.0 s",
            "kd     train  waiting",
        ],
    ),
    "a stage is no longer part of it": (
        of(DONE, StageStatus(name="old", state="Succeeded", attempt=1)),
        [
            "fastgen/shapes: Accepted=True (Accepted)",
            "stage  kind   state      attempt     began    time",
            "pairs  pairs  succeeded        1  12:00:00  65.0 s",
            "kd     train  waiting",
            "old           succeeded        1",
        ],
    ),
}


@pytest.mark.parametrize("case", DRAWINGS)
def test_a_status_is_drawn_line_by_line(case: str) -> None:
    status, lines = DRAWINGS[case]
    assert plain(view(found(status), NOW)) == lines


CODES: list[tuple[str, Status, int | None]] = [
    ("it goes on", of(DONE, RUNNING, conditions=(ACCEPTED, succeeded("Unknown", "Running"))), None),
    ("nothing is said yet", Status(), None),
    ("all is there", of(DONE, conditions=(ACCEPTED, succeeded("True", "Succeeded"))), 0),
    ("it can never run", of(conditions=(refused("Invalid"),)), 64),
    ("it can never run any more", of(DONE, conditions=(refused("Invalid"),), generation=0), 64),
    ("it waits for an input", of(conditions=(refused("InputMissing"),)), None),
    ("that was an older generation", of(DONE, conditions=(succeeded("True", "Succeeded", generation=0),)), None),
    ("it was too late", of(DONE, conditions=(succeeded("False", "DeadlineExceeded"),)), 75),
]
OUTCOMES: list[tuple[str, int | None, int]] = [
    ("Misdescribed", 64, 64),
    ("BadInput", 65, 65),
    ("Unhealthy", 70, 70),
    ("OutOfMemory", 71, 71),
    ("OutOfMemory", 137, 71),
    ("StoreFailed", 74, 74),
    ("Crashed", 137, 137),
    ("Crashed", None, 1),
    ("Stalled", 143, 1),
    ("DeadlineExceeded", 143, 75),
    ("GateFailed", 0, 70),
    ("Gone", None, 1),
]


@pytest.mark.parametrize(("status", "code"), [case[1:] for case in CODES], ids=[case[0] for case in CODES])
def test_the_exit_code_is_that_of_the_end_of_the_newest_generation(status: Status, code: int | None) -> None:
    assert view(found(status), NOW).code == code


@pytest.mark.parametrize(("kind", "said", "code"), OUTCOMES)
def test_a_failed_stage_gives_its_exit_code(kind: str, said: int | None, code: int) -> None:
    failed = kd(state="Failed", exitClass=kind, exitCode=said)
    assert view(found(of(DONE, failed, conditions=(succeeded("False", "StageFailed"),))), NOW).code == code


def test_an_end_that_somebody_asked_to_try_again_is_none() -> None:
    status = of(kd(state="Failed"), conditions=(succeeded("False", "StageFailed"),))
    asked = found(status.model_copy(update={"retried": "kd 1"}))
    asked["metadata"]["annotations"] = {"fastgen-k8s.github.io/retry": "kd 1"}
    assert view(asked, NOW).code == 1
    asked["metadata"]["annotations"] = {"fastgen-k8s.github.io/retry": "kd 2"}
    assert view(asked, NOW).code is None


def test_what_a_newer_controller_says_more_is_passed_over() -> None:
    newer = found(of(DONE))
    newer["status"]["stages"][0]["mood"] = "good"
    newer["status"]["weather"] = {"today": "rain"}
    assert plain(view(newer, NOW)) == plain(view(found(of(DONE)), NOW))


def test_a_state_that_nobody_knows_is_refused_by_name() -> None:
    newer = found(of(DONE))
    newer["status"]["stages"][0]["state"] = "Dreaming"
    with pytest.raises(BadInput, match=r"found status\.stages\.0\.state: .*'Waiting'"):
        view(newer, NOW)


# --- every status that the API takes ----------------------------------------------------------------------------------

_NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True)
_COUNTS = st.integers(0, 2**53)
_NUMBERS = st.none() | st.floats(-1e12, 1e12)
_MOMENTS = st.datetimes(timezones=st.none() | st.timezones()).map(lambda when: when.isoformat()[:40])
_TIMES = st.none() | _MOMENTS | st.text(max_size=40)
_REASONS = st.from_regex(r"[A-Z][A-Za-z0-9]{0,20}", fullmatch=True)
_STATES = st.sampled_from(["Waiting", "Queued", "Running", "Stopping", "Succeeded", "Failed"])
_CONDITIONS = st.builds(
    Condition,
    type=_REASONS | st.sampled_from(["Accepted", "Succeeded"]),
    status=st.sampled_from(["True", "False", "Unknown"]),
    reason=_REASONS,
    message=st.text(max_size=60),
    lastTransitionTime=st.text(max_size=40),
)
_STAGES = st.builds(
    StageStatus,
    name=_NAMES | st.sampled_from(["pairs", "kd"]),
    state=_STATES,
    attempt=_COUNTS,
    nodes=_COUNTS,
    nodesReady=_COUNTS,
    progress=st.none()
    | st.builds(StageProgress, step=_COUNTS, total=_COUNTS, rate=_NUMBERS, eta=st.none() | _COUNTS, loss=_NUMBERS),
    checkpoint=st.none() | _COUNTS,
    exitCode=st.none() | st.integers(0, 255),
    exitClass=st.none() | st.sampled_from(["Crashed", "GateFailed", "Gone", "Suspended"]),
    message=st.none() | st.text(max_size=60),
    startedAt=_TIMES,
    finishedAt=_TIMES,
)
_STATUSES = st.builds(
    Status,
    observedGeneration=st.none() | st.integers(0, 2),
    conditions=st.lists(_CONDITIONS, max_size=4).map(tuple),
    stages=st.lists(_STAGES, max_size=5, unique_by=lambda stage: stage.name).map(tuple),
)


@given(_STATUSES)
def test_every_status_is_drawn_with_a_line_a_stage_and_nothing_that_a_terminal_obeys(status: Status) -> None:
    seen = view(found(status), NOW)
    lines = plain(seen)
    names = {"pairs", "kd"} | {stage.name for stage in status.stages}
    assert len(lines) == 1 + len(seen.notes) + 1 + len(names)
    assert all(line.isprintable() for line in lines)
    Console(file=io.StringIO(), width=80, force_terminal=True).print(drawn(seen))
