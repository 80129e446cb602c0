"""The controller's numbers, as Prometheus reads them."""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SHORT = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # seconds
_MIDDLE = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)  # seconds of times that are written to the second
_LONG = (10.0, 60.0, 300.0, 1800.0, 7200.0, 28_800.0, 86_400.0, 604_800.0)


class Telemetry:
    """Every metric, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        here = {"registry": self.registry}
        counter, gauge, histogram = partial(Counter, **here), partial(Gauge, **here), partial(Histogram, **here)
        self.queue = gauge("fastgen_queue_depth", "Pipelines that wait for a worker")
        self.queue_wait = histogram(
            "fastgen_queue_wait_seconds", "From due to taken by a worker", buckets=(*_SHORT, 30.0, 100.0)
        )
        self.reconcile = histogram("fastgen_reconcile_seconds", "One look at one pipeline", ["result"], buckets=_SHORT)
        self.stage = histogram(
            "fastgen_stage_seconds", "Working time of an attempt", ["kind", "outcome"], buckets=_LONG
        )
        self.gpu = counter("fastgen_stage_gpu_seconds", "GPUs times working time of an attempt", ["kind", "outcome"])
        self.retries = counter("fastgen_stage_retries", "Attempts that failed and count", ["exit_class"])
        self.stage_wait = histogram(
            "fastgen_stage_wait_seconds",
            "From the end of the last stage that a stage waits for to its first job",
            ["kind"],
            buckets=_MIDDLE,
        )
        self.pipelines = gauge("fastgen_pipelines", "Pipelines by state", ["state"])
        self.leader = gauge("fastgen_leader", "Whether this replica leads")
        self.requests = counter("fastgen_api_requests", "Requests to the API server", ["verb", "status"])
        self.store = histogram(
            "fastgen_store_requests_seconds", "Reads of the store", ["operation", "result"], buckets=_SHORT
        )

    def answered(self, verb: str, status: int | None) -> None:
        """One request to the API server; None: it gave no answer."""
        self.requests.labels(verb, "none" if status is None else status).inc()
