"""What goes on around the steps of a run: logging, saving, validating, and stopping when asked."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fastgen_k8s.artifacts import Store
from fastgen_k8s.errors import Stopped, StoreFailed
from fastgen_k8s.pipeline.work import Execution
from fastgen_k8s.training.checkpoint import Checkpoints
from fastgen_k8s.training.loop import Report
from fastgen_k8s.training.metrics import Log, open_trackers
from fastgen_k8s.training.progress import Reporter
from fastgen_k8s.training.state import State
from fastgen_k8s.training.stop import Stop

_PUT_EVERY = 1.0  # seconds between writes of what others watch


class Logbook:
    """What rank 0 tells of the steps: JSON lines, trackers, progress."""

    def __init__(
        self, store: Store, folder: Path, prefix: str, execution: Execution, progress: Reporter, work: str
    ) -> None:
        self.store, self.execution, self.progress = store, execution, progress
        self.log = Log(store, prefix)
        self.trackers = open_trackers(execution.trackers, folder, prefix, work)
        self._put = -math.inf
        self._newest: dict[str, float] = {}  # since the line before

    def tell(self, report: Report, steps: int) -> None:
        """Record a step when it is one of those that are logged, with the newest value of what other turns measure."""
        self._newest |= _scalars(report)
        if report.step % self.execution.log_every and report.step != steps:
            return
        scalars, self._newest = self._newest, {}
        now = time.time()
        self.log.add(report.step, {"step": report.step, "time": round(now, 3)} | _as_json(scalars))
        for tracker in self.trackers:
            tracker.add(report.step, scalars)
        self.progress.show(report.step, report.losses)
        if now - self._put >= _PUT_EVERY or report.step == steps:
            self._put = now
            self.log.write()
            self.progress.put(self.store, report.step, _as_json(report.losses))

    def close(self) -> None:
        """Write what is still held."""
        self.log.write()
        self.progress.close()
        for tracker in self.trackers:
            tracker.close()


class Habits:
    """The watch of a stage: what an `Execution` says, and the stop protocol."""

    def __init__(
        self,
        execution: Execution,
        steps: int,
        stop: Stop,
        checkpoints: Checkpoints,
        logbook: Logbook | None,
        validate: Callable[[int], None] | None,
    ) -> None:
        self.execution, self.steps, self.stop = execution, steps, stop
        self.checkpoints, self.logbook, self.validate = checkpoints, logbook, validate

    def flags(self) -> Sequence[bool]:
        """Asked to stop; a checkpoint could not be written."""
        return (self.stop.asked, self.checkpoints.failed)

    def after(self, state: State, report: Report) -> None:
        """Log, validate and save on the steps that ask for it; on a raised flag all ranks end together here."""
        asked, failed = report.flags
        if self.logbook is not None:
            self.logbook.tell(report, self.steps)
        if failed:
            self.checkpoints.wait()
            raise StoreFailed("another process could not write its part of a checkpoint")
        if self.validate is not None:
            self.validate(state.step)
        if state.step == self.steps:
            return  # the last checkpoint becomes the artifact, asked to stop or not
        if asked or (self.execution.save_every and state.step > 0 and state.step % self.execution.save_every == 0):
            if self.logbook is not None:
                self.logbook.log.write()  # before the checkpoint: its lines must not be lost with this group
            self.checkpoints.save(state)
        if asked:
            self.checkpoints.wait()
            raise Stopped(f"asked to stop: the checkpoint of step {state.step} of {self.steps} is written")


def _scalars(report: Report) -> dict[str, float]:
    norms = {f"norm/{name}": value for name, value in report.norms.items()}
    rates = {f"lr/{name}": value for name, value in report.rates.items()}
    return {**report.losses, **norms, **rates}


def _as_json(scalars: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no word for what is not finite."""
    return {name: value if math.isfinite(value) else None for name, value in scalars.items()}
