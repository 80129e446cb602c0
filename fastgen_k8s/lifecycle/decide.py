"""What to do about a pipeline: the plan, its actions written into the stages' status. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fastgen_k8s.lifecycle.fold import Look, bounded, seen, stopping
from fastgen_k8s.lifecycle.status import LIVE, ExitClass, StageStatus
from fastgen_k8s.lifecycle.times import rfc3339
from fastgen_k8s.pipeline.plan import (
    ASKED,
    DONE,
    NO_PROGRESS,
    PAST_DEADLINE,
    REPLACED,
    SUPERSEDED,
    Observed,
    Record,
    Running,
    Start,
    StopJob,
    Wait,
    plan,
)
from fastgen_k8s.pipeline.spec import Pipeline, Stage

_WHY: Mapping[str, ExitClass] = {
    SUPERSEDED: "Superseded",
    REPLACED: "Replaced",
    PAST_DEADLINE: "DeadlineExceeded",
    NO_PROGRESS: "Stalled",
}


@dataclass(frozen=True)
class Decision:
    """The stages' status as it shall be written, what is to be started, and when to look again."""

    stages: Mapping[str, StageStatus]
    start: tuple[str, ...] = ()
    stop: Mapping[str, str] = field(default_factory=dict[str, str])  # the job of a stage, and why
    again: float | None = None  # seconds; None: when something changes


def decide(
    pipeline: Pipeline,
    stages: Mapping[str, StageStatus],
    digests: Mapping[str, str],
    looks: Mapping[str, Look],
    now: float,
    late: bool = False,
    refused: str | None = None,
    room: int | None = None,
    chosen: frozenset[str] | None = None,
) -> Decision:
    """Plan, and take down what the plan says; `late`: the pipeline has passed its own deadline; `refused`: why
    nothing may be started although no stage has failed; `room` for jobs at once, and the stages `chosen`: None, any.
    """
    view = {
        stage.name: seen(stage, stages[stage.name], digests[stage.name], looks[stage.name]) for stage in pipeline.stages
    }
    broken = next((name for name, status in stages.items() if status.state == "Failed"), None)
    hold = f"stage {broken} failed" if broken else refused
    observed = Observed(view, now, room, pipeline.suspend or late, chosen, hold)
    decided, start, stop, again = dict(stages), list[str](), dict[str, str](), list[float]()
    for action in plan(pipeline, observed):
        status = decided[action.stage]
        match action:
            case Start(name):
                start.append(name)
            case Wait(name, why, seconds):
                decided[name] = _waiting(status, "suspended" if pipeline.suspend and why == ASKED else why)
                again += [] if seconds is None else [seconds]
            case StopJob(name, _, why):
                asked: ExitClass = "DeadlineExceeded" if late else "Suspended"
                decided[name], stop[name] = stopping(status, _WHY.get(why, asked)), why
            case Record(name, outcome, code):
                decided[name] = recorded(status, looks[name], outcome, code, rfc3339(now))
    limits = [_limit(stage, view[stage.name].running, now) for stage in pipeline.stages]
    again += [left for left in limits if left is not None]
    return Decision(decided, tuple(start), stop, min(again, default=None))


def _limit(stage: Stage, running: Sequence[Running], now: float) -> float | None:
    """Seconds to the nearest deadline of a live attempt."""
    left: list[float] = []
    for job in running:
        if job.stopping or math.isinf(job.since):
            continue
        last = job.since if job.progressed is None else job.progressed
        left += [] if stage.deadline is None else [job.since + stage.deadline - now]
        left += [] if stage.progressDeadlineSeconds is None else [last + stage.progressDeadlineSeconds - now]
    return max(0.0, min(left)) if left else None


def _waiting(status: StageStatus, why: str) -> StageStatus:
    """Why a stage waits stands in its status; of a live one the cluster knows more."""
    if status.state in LIVE:
        return status
    said = why
    if status.failures and status.message and why.startswith("tries again"):
        said = status.message if status.message.startswith(why) else f"{why}: {status.message}"
    return status.model_copy(update={"message": bounded(said), "reason": None})


def recorded(status: StageStatus, look: Look, outcome: str, code: int, now: str) -> StageStatus:
    """The end of a stage; its artifact may have been there before any attempt."""
    ended: dict[str, object] = {"nodesReady": 0, "finishedAt": status.finishedAt or now, "reason": None}
    if outcome == DONE:
        ended |= {"state": "Succeeded", "message": None, "exitCode": None, "exitClass": None}
        ended["sha256"] = status.sha256 or look.sha256  # what an earlier generation has seen stays what is wanted
        if status.progress is not None:  # read for the last time a while before its end
            ended["progress"] = status.progress.model_copy(update={"step": status.progress.total, "eta": None})
    elif look.facts is not None:
        ended |= {"state": "Failed", "message": bounded(outcome), "exitCode": code, "exitClass": "GateFailed"}
    else:
        ended |= {"state": "Failed", "message": bounded(f"{outcome}: {status.message}" if status.message else outcome)}
    return status.model_copy(update=ended)
