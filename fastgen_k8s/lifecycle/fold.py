"""What was found of a stage, folded into its status. Pure: no clock, no cluster.

An attempt is live until its outcome is known; the outcome is in the status before anything of the attempt is deleted.
That its job is gone, and that it failed, are different facts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from fastgen_k8s.artifacts.progress import Progress
from fastgen_k8s.errors import Stopped
from fastgen_k8s.lifecycle.status import LIVE, SETTLED, Outcome, StageProgress, StageStatus, rfc3339

_CHANCE = re.compile(r":[0-9]+->")  # of Go: "read tcp 10.0.0.7:41234->10.0.0.1:443: i/o timeout"
_LONGEST = 1000  # characters of a message


class AttemptJob(Protocol):
    """The job of an attempt, whoever runs it."""

    @property
    def name(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def digest(self) -> str: ...  # first 16 of its work's
    @property
    def ready(self) -> int: ...  # nodes that work
    @property
    def ended(self) -> bool: ...  # it will change no more
    @property
    def cancelled(self) -> bool: ...  # by somebody else, for good


@dataclass(frozen=True)
class Look:
    """What was found of a stage."""

    child: AttemptJob | None = None  # the job of its last attempt
    lingering: bool = False  # the job is gone, pods of it are not
    outcome: Outcome | None = None  # of a job that has ended without an artifact
    facts: Mapping[str, object] | None = None  # of its artifact; None: it is not whole, or was not looked for
    sha256: str | None = None  # of its artifact.json
    progress: StageProgress | None = None
    checkpoint: int | None = None
    unread: bool = False  # the store does not say how far it is
    why: str | None = None  # the job does not work yet
    reason: str | None = None  # the same in a word, where somebody may have to do something about it
    superseded: bool = False  # the job has ended, and worked for settings or inputs that have changed
    differs: str | None = None  # in what the job was made otherwise than is wanted now
    renew: bool = False  # somebody asked for another job

    def told(self, said: Progress) -> "Look":
        """The same with how far the stage is: with its steps, or not at all."""
        counted = None
        if said.step is not None and said.steps is not None:
            eta = None if said.eta is None else max(0, int(said.eta))
            counted = StageProgress(step=said.step, total=said.steps, rate=said.rate, eta=eta, loss=said.loss)
        return replace(self, progress=counted, checkpoint=said.checkpoint)

    @property
    def gone(self) -> bool:
        """Whether nothing is left of the job."""
        return self.child is None and not self.lingering


def fold(was: StageStatus, look: Look, now: float) -> StageStatus:
    """The status of a stage after a look at `now` (seconds since 1970)."""
    stage = _adopted(was, look.child)
    if stage.state not in LIVE or look.facts is not None:
        return stage
    stage = _read(stage, look, now)
    if look.superseded:
        return _ended(stage, now).model_copy(update={"exitCode": None, "exitClass": "Superseded", "failures": 0})
    if look.outcome is not None:
        return failed(stage, look.outcome, now)
    if look.gone:
        return _gone(stage, now)
    if look.child is None:
        return stage
    if look.child.cancelled and stage.state != "Stopping":
        return stopping(stage, "Gone")
    return _alive(stage, look, look.child, now)


def begun(was: StageStatus, job: str, attempt: int, nodes: int) -> StageStatus:
    """A stage whose next attempt has its job; how the one before ended stays there to read."""
    kept = was.model_dump(include={"name", "failures", "checkpoint", "exitCode", "exitClass", "artifact"})
    return StageStatus(**kept, state="Queued", attempt=attempt, job=job, nodes=nodes)


def stopping(was: StageStatus, why: str) -> StageStatus:
    """A stage whose job is to be removed."""
    return was.model_copy(update={"state": "Stopping", "exitClass": why, "message": None, "reason": None})


def failed(was: StageStatus, outcome: Outcome, now: float) -> StageStatus:
    """A stage whose attempt counts as a failure."""
    return _ended(was, now).model_copy(
        update={
            "failures": was.failures + 1,
            "exitCode": outcome.code,
            "exitClass": outcome.kind,
            "message": bounded(outcome.said) or None,
        }
    )


def again(was: StageStatus, same: bool) -> StageStatus:
    """A stage that may be tried anew; an attempt that lives goes on. `same`: it is the same work as before."""
    if was.state in LIVE:
        return was
    fresh = StageStatus(name=was.name, attempt=was.attempt, job=was.job, nodes=was.nodes)
    kept = ("checkpoint", "sha256", "startedAt", "finishedAt", "progress", "progressedAt") if same else ()
    return fresh.model_copy(update=was.model_dump(include=set(kept)) | {"progress": was.progress if same else None})


def bounded(text: str) -> str:
    """A message that the API takes, without the port that a client had by chance: the same trouble, the same words."""
    line = _CHANCE.sub("->", " ".join(text.split()))
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"


def _adopted(was: StageStatus, child: AttemptJob | None) -> StageStatus:
    """A job that was made before its maker could write so is the stage's own.

    A stage may have come to its end before anybody has heard of the job: then it is one more attempt to clean up after.
    """
    if child is None or child.attempt <= was.attempt:
        return was
    if was.state in SETTLED:
        return was.model_copy(update={"attempt": child.attempt, "job": child.name})
    return begun(was, child.name, child.attempt, was.nodes)


def _ended(was: StageStatus, now: float) -> StageStatus:
    over = {"state": "Waiting", "nodesReady": 0, "finishedAt": rfc3339(now), "message": None, "reason": None}
    return was.model_copy(update=over)


def _gone(was: StageStatus, now: float) -> StageStatus:
    """Nothing is left of a job whose outcome nobody has seen."""
    if was.state != "Stopping":
        return _ended(was, now).model_copy(update={"exitCode": None, "exitClass": "Gone"})
    if was.exitClass == "Stalled":
        return failed(was, Outcome(1, "Stalled", "it made no progress and was ended"), now)
    if was.exitClass == "DeadlineExceeded":
        return failed(was, Outcome(Stopped.code, "DeadlineExceeded", "it passed its deadline"), now)
    superseded = was.exitClass == "Superseded"
    return _ended(was, now).model_copy(update={"exitCode": None} | ({"failures": 0} if superseded else {}))


def _said(look: Look, worked: bool) -> list[str]:
    """Why a live attempt does not work, and that one which has worked is not as it is wanted now."""
    made = f"still runs with {look.differs}: suspend and resume, and it goes on so from its checkpoint"
    return [*([look.why] if look.why else []), *([made] if worked and look.differs else [])]


def _alive(was: StageStatus, look: Look, child: AttemptJob, now: float) -> StageStatus:
    started = was.startedAt or (rfc3339(now) if child.ready else None)
    changed: dict[str, object] = {"nodesReady": child.ready, "startedAt": started}
    if was.state != "Stopping":
        changed["state"] = "Running" if started else "Queued"
        changed["message"] = bounded("; ".join(said)) if (said := _said(look, worked=started is not None)) else None
        changed["reason"] = look.reason
    return was.model_copy(update=changed)


def _read(was: StageStatus, look: Look, now: float) -> StageStatus:
    """A stage with how far it is."""
    changed: dict[str, object] = {}
    if look.progress is not None and look.progress != was.progress:
        changed["progress"] = look.progress
        if was.progress is None or look.progress.step != was.progress.step:
            changed["progressedAt"] = rfc3339(now)
    if look.checkpoint is not None:
        changed["checkpoint"] = look.checkpoint
    return was.model_copy(update=changed)
