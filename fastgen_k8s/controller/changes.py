"""What changed between two statuses of a pipeline, as events for people and as numbers. Pure but for the counters."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from fastgen_k8s.controller.places import SHARED
from fastgen_k8s.controller.telemetry import Telemetry
from fastgen_k8s.launch.resources import resource
from fastgen_k8s.lifecycle.conditions import ACCEPTED, SUCCEEDED
from fastgen_k8s.lifecycle.status import SETTLED, Condition, StageStatus, Status, seconds
from fastgen_k8s.pipeline.spec import Pipeline


@dataclass(frozen=True)
class Told:
    """One event."""

    kind: Literal["Normal", "Warning"]
    reason: str
    message: str
    mark: str  # the same for the same change, so that it is told once


def events(before: Status, after: Status) -> Iterator[Told]:
    """What people want to read of a change."""
    earlier = {stage.name: stage for stage in before.stages}
    for stage in after.stages:
        was = earlier.get(stage.name, StageStatus(name=stage.name))
        mark = f"{stage.name}/{stage.attempt}/{stage.failures}"
        if stage.attempt > was.attempt:
            yield Told("Normal", "StageStarted", f"stage {stage.name}: attempt {stage.attempt} as {stage.job}", mark)
        if stage.failures > was.failures or (stage.exitClass == "Gone" and was.exitClass != "Gone"):
            said = stage.message or stage.exitClass or ""
            yield Told("Warning", f"Attempt{stage.exitClass}", f"stage {stage.name}: {said}", mark)
        if stage.reason not in (None, was.reason):
            kind = "Normal" if stage.reason == SHARED else "Warning"
            yield Told(kind, stage.reason, f"stage {stage.name}: {stage.message}", f"{mark}/{stage.message}")
        if stage.state == was.state:
            continue
        if stage.state == "Stopping":
            yield Told("Normal", "StageStopping", f"stage {stage.name}: {stage.exitClass}", mark)
        if stage.state == "Succeeded":
            yield Told("Normal", "StageSucceeded", f"stage {stage.name}: {stage.artifact}", f"{mark}/{stage.artifact}")
        if stage.state == "Failed":
            yield Told("Warning", "StageFailed", f"stage {stage.name}: {stage.message}", mark)
    conditions = {one.type: one for one in before.conditions}
    for one in after.conditions:
        was = conditions.get(one.type)
        if one.status != "Unknown" and (was is None or _of(was) != _of(one)):
            mark = f"{one.type}/{one.status}/{one.observedGeneration}/{after.retried}"
            if one.type == SUCCEEDED:
                good = one.status == "True"
                yield Told("Normal" if good else "Warning", f"Pipeline{one.reason}", one.message, mark)
            if one.type == ACCEPTED and one.status == "False":
                yield Told("Warning", f"Pipeline{one.reason}", one.message, f"{mark}/{one.message}")


def count(before: Status, after: Status, pipeline: Pipeline, telemetry: Telemetry, now: float) -> None:
    """Add a change to the numbers."""
    earlier = {stage.name: stage for stage in before.stages}
    described = {stage.name: stage for stage in pipeline.stages}
    for stage in after.stages:
        was = earlier.get(stage.name, StageStatus(name=stage.name))
        kind = described[stage.name].kind
        if stage.attempt and not was.attempt:
            ends = _ends(after, pipeline.before(described[stage.name]))
            if ends:
                telemetry.stage_wait.labels(kind).observe(max(0.0, now - max(ends)))
        if stage.failures > was.failures:
            telemetry.retries.labels(stage.exitClass or "").inc()
        if stage.startedAt and stage.finishedAt and was.finishedAt != stage.finishedAt:
            taken = max(0.0, seconds(stage.finishedAt) - seconds(stage.startedAt))
            outcome = stage.state if stage.state in SETTLED else stage.exitClass or "Ended"
            telemetry.stage.labels(kind, outcome).observe(taken)
            gpus = resource(described[stage.name].placement.resource).gpu
            telemetry.gpu.labels(kind, outcome).inc(taken * gpus * stage.nodes)


def _ends(status: Status, names: Collection[str]) -> list[float]:
    """When these stages ended."""
    return [seconds(one.finishedAt) for one in status.stages if one.name in names and one.finishedAt]


def _of(one: Condition) -> tuple[str, int | None]:
    return one.status, one.observedGeneration
