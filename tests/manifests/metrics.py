"""The metrics that the controller exports, by name: what kind each is and which labels it has.

What the dashboard and the alerts ask for is held against this list, and so is what the controller exports.
"""

from dataclasses import dataclass
from typing import Literal

SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("",), "gauge": ("",)}


@dataclass(frozen=True)
class Metric:
    """One metric."""

    kind: Literal["counter", "gauge", "histogram"]
    labels: frozenset[str] = frozenset()


def _metric(kind: Literal["counter", "gauge", "histogram"], *labels: str) -> Metric:
    return Metric(kind, frozenset(labels))


METRICS: dict[str, Metric] = {
    "fastgen_api_requests_total": _metric("counter", "verb", "status"),
    "fastgen_leader": _metric("gauge"),  # 1 for the replica that acts
    "fastgen_pipelines": _metric("gauge", "state"),
    "fastgen_queue_depth": _metric("gauge"),
    "fastgen_queue_wait_seconds": _metric("histogram"),
    "fastgen_reconcile_seconds": _metric("histogram", "result"),
    "fastgen_stage_gpu_seconds_total": _metric("counter", "kind", "outcome"),
    "fastgen_stage_retries_total": _metric("counter", "exit_class"),
    "fastgen_stage_seconds": _metric("histogram", "kind", "outcome"),
    "fastgen_stage_wait_seconds": _metric("histogram", "kind"),  # from one stage's end to the next one's job
    "fastgen_store_requests_seconds": _metric("histogram", "operation", "result"),
}
RESULTS = {
    "fastgen_reconcile_seconds": ("ok", "conflict", "refused", "unreachable", "error"),
    "fastgen_store_requests_seconds": ("ok", "failed"),
}
"""Values of the label `result`."""


def names(metric: str) -> set[str]:
    """The series that a metric is made of, as queries name them."""
    return {metric + suffix for suffix in SUFFIXES[METRICS[metric].kind]}


def metric_of(series: str) -> str | None:
    """The metric that a series is of."""
    return next((metric for metric in METRICS if series in names(metric)), None)
