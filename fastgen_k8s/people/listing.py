"""The pipelines of a namespace in a table, with the columns of `kubectl get`."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from fastgen_k8s.lifecycle.status import Columns
from fastgen_k8s.people.present import status_of
from fastgen_k8s.printable import clean
from fastgen_k8s.view.rows import span

_HEADINGS = ("name", "stage", "progress", "nodes", "loss", "status", "age")


def listing(pipelines: Iterable[Mapping[str, Any]], now: datetime) -> Table:
    """One a line."""
    drawn = Table(box=None, pad_edge=False)
    for heading in _HEADINGS:
        drawn.add_column(heading, no_wrap=True)
    for found in pipelines:
        shown = status_of(found).columns or Columns()
        age = now - datetime.fromisoformat(found["metadata"]["creationTimestamp"])
        cells = (shown.stage, shown.progress, shown.nodes, shown.loss, shown.status, span(age.total_seconds()))
        drawn.add_row(*(Text(clean(cell)) for cell in (found["metadata"]["name"], *cells)))
    return drawn
