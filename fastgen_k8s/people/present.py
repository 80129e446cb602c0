"""How pipelines stand by their objects in a cluster: each by itself, and all in a table. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from rich.table import Table
from rich.text import Text

from fastgen_k8s.controller.children import RETRY
from fastgen_k8s.errors import BadInput
from fastgen_k8s.lifecycle.conditions import ACCEPTED, code
from fastgen_k8s.lifecycle.status import Columns, StageStatus, Status
from fastgen_k8s.printable import clean
from fastgen_k8s.view.rows import PipelineView, span
from fastgen_k8s.view.stage import row

_HEADINGS = ("name", "stage", "progress", "nodes", "loss", "status", "age")  # of `kubectl get`


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
        rows=tuple(row(seen.get(name, StageStatus(name=name)), kinds.get(name, ""), now) for name in [*kinds, *gone]),
        heading=f"{meta['namespace']}/{meta['name']}: {conditions or 'no controller has looked at it yet'}",
        notes=tuple(_notes(status, meta.get("generation"))),
        code=None if asked not in (None, status.retried) else code(status, meta.get("generation")),
    )


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


def listing(pipelines: Iterable[Mapping[str, Any]], now: datetime) -> Table:
    """The pipelines of a namespace, one a line."""
    drawn = Table(box=None, pad_edge=False)
    for heading in _HEADINGS:
        drawn.add_column(heading, no_wrap=True)
    for found in pipelines:
        shown = status_of(found).columns or Columns()
        age = now - datetime.fromisoformat(found["metadata"]["creationTimestamp"])
        cells = (shown.stage, shown.progress, shown.nodes, shown.loss, shown.status, span(age.total_seconds()))
        drawn.add_row(*(Text(clean(cell)) for cell in (found["metadata"]["name"], *cells)))
    return drawn
