"""The status that a generation starts from and comes to, and the jobs that it has done with. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from fastgen_k8s.controller.accept import Accepted
from fastgen_k8s.controller.children import RETRY, Child
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.lifecycle.conditions import SUCCEEDED, columns, merge, outcome, suspension
from fastgen_k8s.lifecycle.fold import Look, again, fold, stopping
from fastgen_k8s.lifecycle.status import Condition, StageStatus, Status


def read_status(found: Object) -> Status:
    """The status of an object; one that another version wrote otherwise counts for what can be read of it."""
    given: dict[str, Any] = found.get("status") or {}
    try:
        return Status.parse(given, "status")
    except Misdescribed:
        kept = ("observedGeneration", "conditions", "works", "digests", "inputs")
        known = {name: given[name] for name in kept if name in given}
        return Status.parse(known, "status")


def finished(stored: Status, found: Object) -> bool:
    """Whether the object's present generation has come to its end."""
    return any(
        one.type == SUCCEEDED and one.status != "Unknown" and one.observedGeneration == generation_of(found)
        for one in stored.conditions
    )


def retry_asked(stored: Status, found: Object) -> bool:
    asked = found["metadata"].get("annotations", {}).get(RETRY)
    return asked is not None and asked != stored.retried


def retried_stage(found: Object, stored: Status) -> str | None:
    """The stage that somebody asked to try again since the last look."""
    return str(found["metadata"]["annotations"][RETRY]).partition(" ")[0] if retry_asked(stored, found) else None


def of_generation(found: Object, accepted: Accepted, stored: Status, now: str) -> Status:
    """The status that this generation starts from: attempts that live go on, the rest is looked at anew."""
    before = {stage.name: stage for stage in stored.stages}
    retried = stored.retried
    stages = [before.get(stage.name) or StageStatus(name=stage.name) for stage in accepted.pipeline.stages]
    changed = stored.observedGeneration != generation_of(found) or not stored.stages
    if changed:
        stages = [again(one, stored.digests.get(one.name) == accepted.digests[one.name]) for one in stages]
    chosen = retried_stage(found, stored)
    if chosen is not None:
        retried = str(found["metadata"]["annotations"][RETRY])
        stages = [again(one, same=True) if one.name == chosen and one.state == "Failed" else one for one in stages]
    update: dict[str, object] = {
        "observedGeneration": generation_of(found),
        "works": accepted.works,
        "digests": accepted.digests,
        "inputs": accepted.inputs,
        "accepted": accepted.spec,
        "stages": tuple(stages),
        "startedAt": now if changed else stored.startedAt,
        "finishedAt": None,
        "retried": retried,
    }
    return stored.model_copy(update=update)


def whole(
    status: Status, said: Condition, stages: Mapping[str, StageStatus], suspended: bool, late: bool, now: str
) -> Status:
    """The status with its conditions and columns; what is `said` of the newest generation may be that it is refused,
    and then the rest tells of the one that was accepted last.
    """
    told, ordered = status.observedGeneration or 0, tuple(stages.values())
    succeeded = outcome(ordered, told, suspended, late)
    conditions = [said, succeeded, suspension(suspended, ordered, said.observedGeneration or told)]
    shown = columns(ordered, succeeded)
    return status.model_copy(
        update={
            "stages": ordered,
            "conditions": merge(status.conditions, conditions, now),
            "columns": shown if said.status == "True" else shown.model_copy(update={"status": said.reason}),
            "finishedAt": None if succeeded.status == "Unknown" else status.finishedAt or now,
        }
    )


def halted(
    stages: Mapping[str, StageStatus], looks: Mapping[str, Look], suspend: bool, now: float
) -> dict[str, StageStatus]:
    """Stages of which only the jobs are known; a job that has ended keeps its outcome until somebody can read it."""
    return {name: _halted(fold(stage, looks[name], now), looks[name], suspend) for name, stage in stages.items()}


def _halted(stage: StageStatus, look: Look, suspend: bool) -> StageStatus:
    ended = look.child is not None and look.child.ended
    return stopping(stage, "Suspended") if suspend and not ended and stage.state in ("Queued", "Running") else stage


def with_places(stages: Mapping[str, StageStatus], accepted: Accepted) -> dict[str, StageStatus]:
    """Each stage that has succeeded with the place of its artifact."""
    return {
        name: stage.model_copy(update={"artifact": accepted.stages[name].output})
        if stage.state == "Succeeded" and stage.artifact is None
        else stage
        for name, stage in stages.items()
    }


def generation_of(found: Object) -> int:
    return int(found["metadata"]["generation"])


def removals(stored: Status, children: Iterable[Child], names: frozenset[str], cleanup: str) -> list[Child]:
    """The jobs to delete: those whose end, or whose stopping, is in the stored status; `names` are the stages of the
    object's spec, `cleanup` its policy for ended jobs.
    """
    stages = {stage.name: stage for stage in stored.stages}
    return [one for one in children if not one.leaving and _is_done(one, stages.get(one.stage), names, cleanup)]


def _is_done(job: Child, stage: StageStatus | None, names: frozenset[str], cleanup: str) -> bool:
    if stage is None:
        return job.stage not in names  # a stage that was taken out; one that is new has its status written next
    if job.attempt > stage.attempt:
        return False
    if job.attempt == stage.attempt and stage.state == "Stopping":
        return True
    if not job.ended:  # one of an attempt that is over was asked for by a replica whose request arrived very late
        return job.attempt < stage.attempt or stage.state in ("Waiting", "Failed")
    if cleanup == "always":
        return job.attempt < stage.attempt or stage.state in ("Succeeded", "Failed", "Waiting")
    return cleanup == "succeeded" and job.attempt == stage.attempt and stage.state == "Succeeded"
