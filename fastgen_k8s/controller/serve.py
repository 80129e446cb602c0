"""The controller's process: caches, endpoints, election, workers, in this order, and back on SIGTERM."""

import argparse
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from fastgen_k8s.controller.children import PIPELINE, keep_job, keep_pipeline, keep_pod, keep_workload
from fastgen_k8s.controller.crd import PLURAL
from fastgen_k8s.controller.job import BACKENDS, Settings
from fastgen_k8s.controller.reconcile import Reconciler
from fastgen_k8s.controller.roots import Roots
from fastgen_k8s.controller.telemetry import Telemetry
from fastgen_k8s.controller.view import ClusterView, Key
from fastgen_k8s.controller.work import ReconcileWorker
from fastgen_k8s.controller.writes import Writes
from fastgen_k8s.errors import FastgenError, refuse
from fastgen_k8s.kube.connection import Connection
from fastgen_k8s.kube.endpoints import Endpoints
from fastgen_k8s.kube.lease import USUAL, Durations, Elector, durations
from fastgen_k8s.kube.queue import Queue
from fastgen_k8s.kube.reflector import Reflector
from fastgen_k8s.pipeline.spec import API_VERSION

_SILENT = 180.0  # seconds without a turn of its loop after which a cache is dead
_STATE_EVERY = 5.0  # seconds between two counts of the pipelines by state

log = structlog.get_logger()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; the exit code."""
    asked = _parser().parse_args(arguments)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    telemetry = Telemetry()
    try:
        controller = Controller(Connection(observe=telemetry.answered), telemetry, asked)
    except FastgenError as error:
        return refuse(error)
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda _number, _frame: stop.set())
    controller.start()
    while not stop.wait(_STATE_EVERY):
        controller.measure()
    controller.stop()
    return 0


class Controller:
    """Everything that runs, put together."""

    def __init__(self, connection: Connection, telemetry: Telemetry, asked: argparse.Namespace) -> None:
        self._telemetry, self._queue = telemetry, Queue[Key](waited=telemetry.queue_wait.observe)
        self._view = ClusterView(self._queue.add)
        identity = os.environ.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}"
        self._elector = Elector(connection, asked.lease_namespace, asked.lease, identity, asked.lease_seconds)
        self._reflectors = _reflectors(connection, self._view, asked.namespace)
        settings = Settings(
            asked.pairs_priority_class,
            asked.training_priority_class,
            tuple(asked.pull_secret),
            asked.trainer_image or None,
        )
        writes = Writes(connection, self._elector.holds)
        reconcile = Reconciler(connection, self._view, writes, settings, Roots(asked.roots), self._telemetry)
        self._workers = [
            ReconcileWorker(self._queue, self._elector.holds, reconcile, self._telemetry) for _ in range(asked.workers)
        ]
        self._begun: list[ReconcileWorker] = []
        self._states = set[str]()  # that pipelines have been in: one that none is in any more is counted as 0
        self._port: int = asked.port
        self._endpoints: Endpoints | None = None

    def start(self) -> None:
        """Caches first, in a standby too, so that it can lead at once; work begins on a complete view."""
        for reflector in self._reflectors:
            reflector.start()
        self._endpoints = Endpoints(self._port, self._dead, self._behind, registry=self._telemetry.registry)
        log.info("serving", port=self._endpoints.port)
        self._elector.start()
        threading.Thread(target=self._work, daemon=True, name="begin").start()

    def stop(self) -> None:
        """Finish what workers have begun, give the Lease away, end."""
        self._queue.close()
        for worker in self._workers:
            worker.finish()
        self._elector.release()
        for reflector in self._reflectors:
            reflector.stop()
        if self._endpoints is not None:
            self._endpoints.close()

    def measure(self) -> None:
        """What is counted now and then."""
        self._telemetry.queue.set(self._queue.waiting())
        self._telemetry.leader.set(self._elector.holds())
        states = Counter(_state(found) for found in self._view.all())
        self._states |= states.keys()
        for state in self._states:
            self._telemetry.pipelines.labels(state).set(states[state])

    def _work(self) -> None:
        for reflector in self._reflectors:
            reflector.synced.wait()
        for worker in self._workers:
            worker.start()
            self._begun.append(worker)

    def _dead(self) -> list[str]:
        """What of this process does not turn any more."""
        now = time.monotonic()
        stuck = [f"{one.name}: silent" for one in self._reflectors if now - one.beat > _SILENT]
        ended = [f"{one.name}: ended" for one in (*self._reflectors, self._elector, *self._begun) if not one.is_alive()]
        return stuck + ended

    def _behind(self) -> list[str]:
        """What is not complete yet."""
        return [f"{one.name}: not synced" for one in self._reflectors if not one.synced.is_set()]


def _reflectors(connection: Connection, view: ClusterView, namespaces: Sequence[str]) -> list[Reflector]:
    """A cache for each kind, of each namespace: an account that is bound in each sees no others."""
    found: list[Reflector] = []
    for place in [f"namespaces/{name}/" for name in namespaces]:
        ours = {"labelSelector": PIPELINE}
        kinds: list[tuple[str, Any, Any, dict[str, str], bool]] = [
            (f"/apis/{API_VERSION}/{place}{PLURAL}", view.pipeline, keep_pipeline, {}, False),
            (f"/api/v1/{place}pods", view.pod, keep_pod, ours, False),
            (f"/apis/kueue.x-k8s.io/v1beta2/{place}workloads", view.workload, keep_workload, {}, True),
        ]
        for name, backend in BACKENDS.items():
            path = f"/apis/{backend.group}/{place}{backend.plural}"
            kinds.append((path, view.job(backend), keep_job, ours, name != "jobset"))
        for path, changed, keep, query, optional in kinds:
            found.append(Reflector(connection, path, changed, keep, optional=optional, **query))
    return found


def _state(found: dict[str, Any]) -> str:
    columns: dict[str, str] = found["status"].get("columns") or {}
    return columns.get("status") or "New"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fastgen_k8s.controller", allow_abbrev=False)
    parser.add_argument("--namespace", action="append", required=True, help="of pipelines; may be repeated")
    parser.add_argument(
        "--roots", type=Path, metavar="FOLDER", help="of a file a namespace: the places that its pipelines may name"
    )
    parser.add_argument("--port", type=int, default=8080, help="of /healthz, /readyz and /metrics")
    parser.add_argument("--workers", type=int, default=16, help="pipelines looked at together")
    parser.add_argument("--lease-namespace", default="fastgen-system", help="the controller's own, with no pipelines")
    parser.add_argument("--lease", default="fastgen-controller", help="name of the Lease that the leader holds")
    parser.add_argument(
        "--lease-seconds",
        type=_durations,
        default=USUAL,
        metavar="LEASE/DEADLINE/RETRY",
        help="how long it lasts, when its holder stops acting, and how often it is renewed (default: 15/10/2)",
    )
    parser.add_argument("--pairs-priority-class", help="of pods that can be evicted for nothing: pairs, samples")
    parser.add_argument("--training-priority-class", help="of all other pods")
    parser.add_argument("--pull-secret", action="append", default=[], help="of the images' registry; may be repeated")
    parser.add_argument("--trainer-image", metavar="IMAGE", help="of stages whose pipeline names none")
    return parser


def _durations(words: str) -> Durations:
    try:
        return durations(words)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
