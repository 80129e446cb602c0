"""The status that a generation starts from and comes to, from what is stored and what was decided. Pure."""

from collections.abc import Mapping
from typing import Any

from fastgen_k8s.controller.accept import Accepted
from fastgen_k8s.controller.children import RETRY
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.lifecycle.conditions import ACCEPTED, SUCCEEDED, columns, condition, merge, outcome, suspension
from fastgen_k8s.lifecycle.fold import again
from fastgen_k8s.lifecycle.status import StageStatus, Status


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


def whole(status: Status, accepted: Accepted, stages: Mapping[str, StageStatus], late: bool, now: str) -> Status:
    """The status with its conditions and columns."""
    generation, suspended = status.observedGeneration or 0, accepted.pipeline.suspend
    ordered = tuple(stages[stage.name] for stage in accepted.pipeline.stages)
    succeeded = outcome(ordered, generation, suspended, late)
    said = [condition(ACCEPTED, "True", "Accepted", "", generation), succeeded]
    said.append(suspension(suspended, ordered, generation))
    return status.model_copy(
        update={
            "stages": ordered,
            "conditions": merge(status.conditions, said, now),
            "columns": columns(ordered, succeeded),
            "finishedAt": None if succeeded.status == "Unknown" else now,
        }
    )


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
