"""A thread that takes pipelines from the queue and has them looked at, whatever goes wrong with one of them."""

import threading
import time
from collections.abc import Callable

import structlog

from fastgen_k8s.controller.telemetry import Telemetry
from fastgen_k8s.controller.view import Key
from fastgen_k8s.controller.writes import NotLeading
from fastgen_k8s.errors import FastgenError
from fastgen_k8s.kube.connection import Refused, Unreachable
from fastgen_k8s.kube.queue import Queue

_STANDBY = 1.0  # seconds before a replica that does not lead looks at a key again
_CONFLICT = 409
_SOON, _LATER = 1.0, 60.0  # seconds at most before what failed is tried again

log = structlog.get_logger()


class ReconcileWorker(threading.Thread):
    """One of several; each pipeline is with one of them at a time."""

    def __init__(
        self,
        queue: Queue[Key],
        holds: Callable[[], bool],
        reconcile: Callable[[Key], float | None],
        telemetry: Telemetry,
    ) -> None:
        super().__init__(daemon=True, name="worker")
        self._queue, self._holds, self._reconcile, self._telemetry = queue, holds, reconcile, telemetry

    def finish(self) -> None:
        """Wait for what is under way; the queue is closed."""
        if self.is_alive():
            self.join()

    def run(self) -> None:
        """Until the queue is closed."""
        while (key := self._queue.get()) is not None:
            if not self._holds():
                self._queue.put_off(key, _STANDBY)
                continue
            began = time.monotonic()
            result = self._look(key)
            self._telemetry.reconcile.labels(result).observe(time.monotonic() - began)

    def _look(self, key: Key) -> str:
        """One look; what it came to."""
        with structlog.contextvars.bound_contextvars(pipeline="/".join(key)):
            try:
                self._queue.done(key, self._reconcile(key))
                return "ok"
            except NotLeading:
                self._queue.put_off(key, _STANDBY)
                return "conflict"
            except Refused as refusal:
                conflict = refusal.status == _CONFLICT
                if not conflict:
                    log.warning("refused", problem=str(refusal))
                self._queue.fail(key, _SOON if conflict else _LATER)
                return "conflict" if conflict else "refused"
            except (Unreachable, FastgenError) as failure:
                log.warning("not reached", problem=str(failure))
                self._queue.fail(key, _LATER)
                return "unreachable"
            except Exception:  # one pipeline's surprise must not stop the others
                log.exception("fault")
                self._queue.fail(key, _LATER)
                return "error"
