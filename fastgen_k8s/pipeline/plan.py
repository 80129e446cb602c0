"""What to do next, as a pure function of a pipeline and of what was seen: the same for a laptop and a cluster."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from fastgen_k8s.errors import PERMANENT, Stopped, Unhealthy
from fastgen_k8s.pipeline.advice import advice
from fastgen_k8s.pipeline.spec import Pipeline, Stage
from fastgen_k8s.printable import shown

BACKOFF = 5.0  # seconds before the first new job after a failure; doubled for each further one
LONGEST_BACKOFF = 300.0


# --- what was seen ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Running:
    """A job that is alive."""

    digest: str  # first 16 of its work's digest
    since: float  # when it began to work: seconds on the observer's clock; infinite: it never has
    stopping: bool = False  # asked to stop already
    progressed: float | None = None  # when its last step was seen; None: none was; infinite: nobody can look
    outdated: bool = False  # made with another image, placement or queue than is wanted now, or to be made anew


@dataclass(frozen=True)
class Failure:
    """A job of the stage's digest that ended without its artifact, and not because somebody stopped it."""

    code: int  # 75: it passed the stage's deadline
    ended: float  # seconds on the observer's clock
    stalled: bool = False  # it was stopped because it made no progress


@dataclass(frozen=True)
class Rest:
    """A time for which no job of a stage is started, although none has failed."""

    until: float  # seconds on the observer's clock
    why: str


@dataclass(frozen=True)
class StageSeen:
    """One stage as it was found."""

    digest: str
    whole: bool = False  # its artifact is there
    facts: Mapping[str, object] = field(default_factory=dict[str, object])  # of the artifact
    running: tuple[Running, ...] = ()
    failures: tuple[Failure, ...] = ()
    outcome: str | None = None  # as recorded before: it is settled
    rest: Rest | None = None  # it may not start before
    patience: float = 1.0  # times the back-off, so that many that failed together do not come back together


@dataclass(frozen=True)
class Observed:
    """Everything that a plan depends on."""

    stages: Mapping[str, StageSeen]
    now: float
    room: int | None = None  # jobs that may be alive at once; None: any number
    stopping: bool = False  # the run was asked to stop
    chosen: frozenset[str] | None = None  # the stages of this run; None: all
    hold: str | None = None  # why nothing more may be started, while what runs goes on


# --- what to do -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Start:
    """Begin a job of this stage."""

    stage: str
    attempt: int = 1  # counts failures, not stops


@dataclass(frozen=True)
class StopJob:
    """Ask this stage's job of that digest to stop."""

    stage: str
    digest: str
    why: str


@dataclass(frozen=True)
class Wait:
    """Leave this stage alone for now."""

    stage: str
    why: str
    seconds: float | None = None  # None: until something changes


@dataclass(frozen=True)
class Record:
    """Write down how this stage ended."""

    stage: str
    outcome: str  # DONE, or what went wrong
    code: int = 0


Action = Start | StopJob | Wait | Record

DONE = "done"
ASKED = "the run was asked to stop"
SUPERSEDED = "its settings or inputs changed"
REPLACED = "it has never worked, and is made anew"
PAST_DEADLINE = "past its deadline"
NO_PROGRESS = "no progress"


def plan(pipeline: Pipeline, observed: Observed) -> list[Action]:
    """What to do about every stage that is not settled; nothing here looks at a clock, a disk or a cluster."""
    actions: list[Action] = []
    done: set[str] = set()
    alive = sum(len(seen.running) for seen in observed.stages.values())
    for stage in pipeline.stages:
        seen, chosen = observed.stages[stage.name], observed.chosen is None or stage.name in observed.chosen
        actions += _stops(stage, seen, observed, chosen)
        recorded = None if seen.outcome is None else Record(stage.name, seen.outcome, int(seen.outcome != DONE))
        end = recorded or _end(stage, seen)
        if end is not None:
            done |= {stage.name} if end.code == 0 else set()
            if seen.running:
                actions.append(Wait(stage.name, "its job ends"))  # the artifact is there, its agent not yet gone
            elif chosen and end.outcome != seen.outcome:
                actions.append(end)
        elif chosen:
            full = observed.room is not None and alive >= observed.room
            action = _next(seen, stage, observed, [name for name in pipeline.before(stage) if name not in done], full)
            alive += isinstance(action, Start)
            actions.append(action)
    return actions


def backoff(failures: int) -> float:
    """Seconds between so many failures (at least one) and the next job."""
    return min(BACKOFF * 2.0 ** (failures - 1), LONGEST_BACKOFF)


def _end(stage: Stage, seen: StageSeen) -> Record | None:
    """How the stage ended, if it did."""
    if seen.whole:
        return _broken_gate(stage, seen.facts) or Record(stage.name, DONE)
    if not seen.failures:
        return None
    code, count = seen.failures[-1].code, len(seen.failures)
    if code == Stopped.code:
        return Record(stage.name, f"{PAST_DEADLINE} of {stage.deadline} s", code)
    if code in PERMANENT or count > stage.retries:
        what = f"made {NO_PROGRESS}" if seen.failures[-1].stalled else f"failed with exit code {code}"
        return Record(stage.name, what + (f", {count} times" if count > 1 else ""), code)
    return None


def _broken_gate(stage: Stage, facts: Mapping[str, object]) -> Record | None:
    for name, bound in stage.gate.items():
        value = facts.get(name)
        if not isinstance(value, int | float) or not bound.holds(value):
            return Record(
                stage.name, f"gate {name}: wanted {bound}, found {shown(value)}; try: {advice(name)}", Unhealthy.code
            )
    return None


def _stops(stage: Stage, seen: StageSeen, observed: Observed, chosen: bool) -> list[Action]:
    """The jobs of a stage that should not go on."""
    stops: list[Action] = []
    for job in seen.running:
        late = stage.deadline is not None and observed.now - job.since > stage.deadline
        limit, last = stage.progressDeadlineSeconds, job.since if job.progressed is None else job.progressed
        stalled = limit is not None and observed.now - last > limit
        reasons = {
            ASKED: observed.stopping,
            "it is not part of this run": not chosen,
            SUPERSEDED: job.digest != seen.digest[:16],
            REPLACED: job.outdated and math.isinf(job.since),
            PAST_DEADLINE: late and not seen.whole,
            NO_PROGRESS: stalled and not seen.whole,
        }
        why = next((reason for reason, holds in reasons.items() if holds), None)
        if why is not None and not job.stopping:
            stops.append(StopJob(stage.name, job.digest, why))
    return stops


def _next(seen: StageSeen, stage: Stage, observed: Observed, before: list[str], full: bool) -> Action:
    """What to do with a stage that has not ended."""
    if any(job.digest == seen.digest[:16] for job in seen.running):
        return Wait(stage.name, "running")
    if seen.running:
        return Wait(stage.name, "an older job has to end first")
    if observed.stopping:
        return Wait(stage.name, ASKED)
    if observed.hold is not None:
        return Wait(stage.name, observed.hold)
    if before:
        return Wait(stage.name, f"waits for {', '.join(before)}")
    if seen.failures:
        left = seen.failures[-1].ended + backoff(len(seen.failures)) * seen.patience - observed.now
        if left > 0:
            return Wait(stage.name, f"tries again after exit code {seen.failures[-1].code}", left)
    if seen.rest is not None and seen.rest.until > observed.now:
        return Wait(stage.name, seen.rest.why, seen.rest.until - observed.now)
    if full:
        return Wait(stage.name, "waits for a running stage")
    return Start(stage.name, len(seen.failures) + 1)
