"""How a pipeline stands by its object in a cluster. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from fastgen_k8s.artifacts.progress import Progress
from fastgen_k8s.controller.children import RETRY
from fastgen_k8s.controller.conditions import ACCEPTED, SUCCEEDED
from fastgen_k8s.controller.status import LIVE, ExitClass, StageStatus, Status
from fastgen_k8s.errors import BadInput, Misdescribed, OutOfMemory, Stopped, StoreFailed, Unhealthy
from fastgen_k8s.view.progress import shown
from fastgen_k8s.view.rows import PipelineView, StageRow, clock

_CODES: Mapping[ExitClass, int] = {
    "Misdescribed": Misdescribed.code,
    "BadInput": BadInput.code,
    "Unhealthy": Unhealthy.code,
    "OutOfMemory": OutOfMemory.code,
    "StoreFailed": StoreFailed.code,
    "DeadlineExceeded": Stopped.code,
    "GateFailed": Unhealthy.code,  # whatever its job said: that one ended well
    "Stalled": 1,
}


def status_of(found: Mapping[str, Any]) -> Status:
    """What the controller said last; a newer one may say more."""
    try:
        return Status.model_validate(found.get("status", {}), extra="ignore")
    except ValidationError as error:
        where, what = ".".join(map(str, error.errors()[0]["loc"])), error.errors()[0]["msg"]
        name = f"{found['metadata']['namespace']}/{found['metadata']['name']}"
        raise BadInput(f"{name}: wanted a status that this version can read, found status.{where}: {what}") from error


def view(found: Mapping[str, Any], now: datetime) -> PipelineView:
    """The pipeline as people see it at `now`, whose time zone is theirs."""
    meta, status = found["metadata"], status_of(found)
    seen = {stage.name: stage for stage in status.stages}
    kinds = {str(stage["name"]): str(stage["kind"]) for stage in found["spec"]["stages"]}
    gone = [name for name in seen if name not in kinds]
    asked = meta.get("annotations", {}).get(RETRY)  # for another try, which makes the end that is known a past one
    conditions = ", ".join(f"{one.type}={one.status} ({one.reason})" for one in status.conditions)
    return PipelineView(
        rows=tuple(row(name, kinds.get(name, ""), seen.get(name), now) for name in [*kinds, *gone]),
        heading=f"{meta['namespace']}/{meta['name']}: {conditions or 'no controller has looked at it yet'}",
        notes=tuple(_notes(status, meta.get("generation"))),
        code=None if asked not in (None, status.retried) else code(status, meta.get("generation")),
    )


def row(name: str, kind: str, stage: StageStatus | None, now: datetime) -> StageRow:
    """A stage as a row."""
    if stage is None:
        return StageRow(name, kind, "waiting")
    live = stage.state in LIVE
    began, ended = _moment(stage.startedAt), _moment(stage.finishedAt)
    until = now.timestamp() if live else ended
    so_far = _progress(stage, live)
    return StageRow(
        stage=name,
        kind=kind,
        state=stage.state.lower(),
        seconds=None if began is None or until is None else until - began,
        note="; ".join(filter(None, _words(stage, so_far, live))),
        attempt=stage.attempt,
        nodes=f"{stage.nodesReady}/{stage.nodes}" if live else "",
        began="" if began is None else clock(began, now),
        share=so_far.share if live else None,
    )


def code(status: Status, generation: int | None) -> int | None:
    """The exit code that the end of a pipeline comes to; None while its newest generation goes on."""
    said = {one.type: one for one in status.conditions if one.observedGeneration == generation}
    accepted, succeeded = said.get(ACCEPTED), said.get(SUCCEEDED)
    if accepted is not None and (accepted.status, accepted.reason) == ("False", "Invalid"):
        return Misdescribed.code  # an input that is missing may still come
    if succeeded is None or succeeded.status == "Unknown":
        return None
    return 0 if succeeded.status == "True" else _failure(status.stages)


def _failure(stages: Sequence[StageStatus]) -> int:
    """The code of the stage that failed; without one, the pipeline has passed its own deadline."""
    failed = next((stage for stage in stages if stage.state == "Failed"), None)
    if failed is None:
        return Stopped.code
    known = None if failed.exitClass is None else _CODES.get(failed.exitClass)
    return known or failed.exitCode or 1


def _notes(status: Status, generation: int | None) -> list[str]:
    """What the conditions say, and whether they are about the newest settings."""
    said = [f"{one.type}: {one.message}" for one in status.conditions if one.message]
    seen = status.observedGeneration
    refused = any(
        (one.type, one.status, one.observedGeneration) == (ACCEPTED, "False", generation) for one in status.conditions
    )
    if seen is not None and seen != generation and refused:
        said.append(f"generation {generation} is refused and starts nothing, this is what became of generation {seen}")
    elif seen is not None and seen != generation:
        said.append(f"generation {generation} has not been looked at yet, this is generation {seen}")
    return said


def _words(stage: StageStatus, so_far: Progress, live: bool) -> list[str]:
    """How far a stage is, why it waits, how it ended."""
    ended = "" if stage.exitClass is None else stage.exitClass + (f" ({stage.exitCode})" if stage.exitCode else "")
    saved = "" if stage.checkpoint is None or stage.state == "Succeeded" else f"checkpoint {stage.checkpoint}"
    far = ", ".join(filter(None, [shown(so_far), saved]))
    message = stage.message or ""
    if live and stage.state != "Stopping":
        return [far, message, f"before: {ended}" if ended else ""]
    return [": ".join(filter(None, [ended, message])), far]


def _progress(stage: StageStatus, live: bool) -> Progress:
    said = stage.progress
    if said is None:
        return Progress()
    if not live:
        return Progress(step=said.step, steps=said.total, loss=said.loss)
    return Progress(said.step, said.total, said.rate, said.eta, said.loss)


def _moment(time: str | None) -> float | None:
    """Seconds since 1970 of a time as Kubernetes writes it."""
    try:
        read = datetime.fromisoformat(time or "")
    except ValueError:
        return None
    return (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()
