"""The plan: what to do about a pipeline, written into its stages' status; the same for a laptop and a cluster.

Pure: nothing here looks at a clock, a disk or a cluster.
"""

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from fastgen_k8s.errors import PERMANENT, Stopped, Unhealthy
from fastgen_k8s.lifecycle.fold import Look, bounded, stopping
from fastgen_k8s.lifecycle.status import LIVE, SETTLED, ExitClass, StageStatus, rfc3339, seconds
from fastgen_k8s.pipeline.advice import advice
from fastgen_k8s.pipeline.spec import Pipeline, Stage
from fastgen_k8s.printable import shown

BACKOFF = 5.0  # seconds before the first new job after a failure; doubled for each further one
LONGEST_BACKOFF = 300.0
REST = 5.0  # seconds before a stage whose job somebody removed gets another

DONE = "done"
_ASKED = "the run was asked to stop"
_PAST_DEADLINE = "past its deadline"
_NO_PROGRESS = "no progress"


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
    """Plan for every stage that is not settled; `late`: the pipeline has passed its own deadline; `refused`: why
    nothing may be started although no stage has failed; `room` for jobs at once, and the stages `chosen`: None, any.
    """
    broken = next((name for name, status in stages.items() if status.state == "Failed"), None)
    hold = f"stage {broken} failed" if broken else refused
    hold = "suspended" if pipeline.suspend else _ASKED if late else hold
    halt: ExitClass | None = "DeadlineExceeded" if late else "Suspended" if pipeline.suspend else None
    live = {stage.name for stage in pipeline.stages if _lives(stages[stage.name], looks[stage.name])}
    decided, start, stop, again, done = dict(stages), list[str](), dict[str, str](), list[float](), set[str]()
    for stage in pipeline.stages:
        name, status, look = stage.name, stages[stage.name], looks[stage.name]
        end, ours = _end(stage, status, look), chosen is None or stage.name in chosen
        done |= {name} if end == (DONE, 0) else set()
        if name in live:
            limits = _limits(stage, status, look)
            again += [max(0.0, limit - now) for limit, _, _ in limits]
            passed = [(why, kind) for limit, why, kind in limits if now > limit and look.facts is None]
            reasons = [*_stops(status, look, digests[name], halt, ours), *passed]
            if reasons and status.state != "Stopping":
                stop[name], kind = reasons[0]
                decided[name] = stopping(status, kind)
        elif ours and status.state not in SETTLED:
            before = [earlier for earlier in pipeline.before(stage) if earlier not in done]
            full = room is not None and len(live) + len(start) >= room
            if end is not None:
                decided[name] = recorded(status, look, *end, rfc3339(now))
            elif (waits := _waits(stage, status, hold, before, full, now)) is None:
                start.append(name)
            else:
                decided[name] = _waiting(status, waits[0])
                again += [] if waits[1] is None else [waits[1]]
    return Decision(decided, tuple(start), stop, min(again, default=None))


def backoff(failures: int) -> float:
    """Seconds between so many failures (at least one) and the next job."""
    return min(BACKOFF * 2.0 ** (failures - 1), LONGEST_BACKOFF)


def patience(key: str) -> float:
    """A factor from 1 to 1.25 that is a function of who waits: many that failed together do not come back together."""
    return 1.0 + zlib.crc32(key.encode()) % 1000 / 4000


def _lives(status: StageStatus, look: Look) -> bool:
    """Whether a job of the stage goes on."""
    return status.state in LIVE and not look.gone and not (look.child is not None and look.child.ended)


def _end(stage: Stage, status: StageStatus, look: Look) -> tuple[str, int] | None:
    """How the stage ended, if it did: DONE or what went wrong, and its exit code."""
    if status.state in SETTLED:
        return (DONE, 0) if status.state == "Succeeded" else (status.message or "failed", 1)
    if look.facts is not None:
        return _broken_gate(stage, look.facts) or (DONE, 0)
    if not status.failures:
        return None
    code, count = _code(status), status.failures
    if code == Stopped.code:
        return f"{_PAST_DEADLINE} of {stage.deadline} s", code
    if code in PERMANENT or count > stage.retries:
        what = f"made {_NO_PROGRESS}" if status.exitClass == "Stalled" else f"failed with exit code {code}"
        return what + (f", {count} times" if count > 1 else ""), code
    return None


def _code(status: StageStatus) -> int:
    return 1 if status.exitCode is None else status.exitCode


def _broken_gate(stage: Stage, facts: Mapping[str, object]) -> tuple[str, int] | None:
    for name, bound in stage.gate.items():
        value = facts.get(name)
        if not isinstance(value, int | float) or not bound.holds(value):
            said = f"gate {name}: wanted {bound}, found {shown(value)}; try: {advice(name)}"
            return said, Unhealthy.code
    return None


def _stops(
    status: StageStatus, look: Look, digest: str, halt: ExitClass | None, ours: bool
) -> list[tuple[str, ExitClass]]:
    """Why a live job should not go on, whatever the time."""
    replaced = status.startedAt is None and (look.renew or look.differs is not None)
    superseded = look.child is not None and look.child.digest != digest[:16]
    reasons: list[tuple[bool, str, ExitClass]] = [
        (halt is not None, _ASKED, halt or "Suspended"),
        (not ours, "it is not part of this run", "Suspended"),
        (superseded, "its settings or inputs changed", "Superseded"),
        (replaced, "it has never worked, and is made anew", "Replaced"),
    ]
    return [(why, kind) for holds, why, kind in reasons if holds]


def _limits(stage: Stage, status: StageStatus, look: Look) -> list[tuple[float, str, ExitClass]]:
    """The deadlines of a live job, in seconds since 1970.

    One that never began to work is never late, one of which nobody knows has not stalled, and each is asked once.
    """
    if status.startedAt is None or status.state == "Stopping":
        return []
    began, last = seconds(status.startedAt), seconds(status.progressedAt or status.startedAt)
    limits: list[tuple[float | None, int | None, str, ExitClass]] = [
        (began, stage.deadline, _PAST_DEADLINE, "DeadlineExceeded"),
        (None if look.unread else last, stage.progressDeadlineSeconds, _NO_PROGRESS, "Stalled"),
    ]
    return [(since + most, why, kind) for since, most, why, kind in limits if since is not None and most is not None]


def _waits(
    stage: Stage, status: StageStatus, hold: str | None, before: list[str], full: bool, now: float
) -> tuple[str, float | None] | None:
    """Why a stage without a job gets none yet, and for how many seconds, where that is known."""
    if hold is not None:
        return hold, None
    if before:
        return f"waits for {', '.join(before)}", None
    ended = seconds(status.finishedAt) if status.finishedAt else 0.0
    until, why = -math.inf, ""
    if status.failures:
        until = ended + backoff(status.failures) * patience(f"{stage.name}/{status.job}/{status.attempt}")
        why = f"tries again after exit code {_code(status)}"
    elif status.exitClass == "Gone":
        until, why = ended + REST, "its job was removed; the stage starts again"
    if until > now:
        return why, until - now
    return ("waits for a running stage", None) if full else None


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
