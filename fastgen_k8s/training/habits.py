"""What goes on around the steps of a run: logging, saving, validating, and stopping when asked."""

import math
import time
from collections.abc import Callable, Mapping, Sequence

from fastgen_k8s.artifacts import Cached, Store
from fastgen_k8s.errors import Stopped, StoreFailed
from fastgen_k8s.pipeline.work import Execution
from fastgen_k8s.training.background import Background
from fastgen_k8s.training.checkpoint import Checkpoints
from fastgen_k8s.training.loop import StepReport
from fastgen_k8s.training.metrics import Events, StepLog, open_trackers
from fastgen_k8s.training.progress import Reporter
from fastgen_k8s.training.state import TrainingState
from fastgen_k8s.training.stop import StopSignal

_PUT_EVERY = 1.0  # seconds between writes of what others watch
_MIRROR_EVERY = 30.0  # seconds between writes of event files, which grow without end


class Logbook:
    """What rank 0 tells of the steps: JSON lines, trackers, progress. Steps wait for none of it but before a save."""

    def __init__(self, store: Store, prefix: str, execution: Execution, progress: Reporter, work: str) -> None:
        self.store, self.execution, self.progress = store, execution, progress
        self.log = StepLog(store, prefix)
        self.trackers = (
            open_trackers(execution.trackers, Cached(store).draft(""), prefix, work) if execution.trackers else []
        )
        self._events = Events(store, prefix)
        self._background = Background("logbook")
        self._put = self._mirrored = -math.inf
        self._newest: dict[str, float] = {}  # since the line before

    def tell(self, report: StepReport, steps: int) -> None:
        """Record a step when it is one of those that are logged, with the newest value of what other turns measure."""
        self._newest |= _scalars(report)
        if report.step % self.execution.log_every and report.step != steps:
            return
        scalars, self._newest = self._newest, {}
        now = time.time()
        if self.log.full:
            self.write()
        self.log.add(report.step, {"step": report.step, "time": round(now, 3)} | _as_json(scalars))
        for tracker in self.trackers:
            tracker.add(report.step, scalars)
        self.progress.show(report.step, report.losses)
        if now - self._put >= _PUT_EVERY or report.step == steps:
            if report.step == steps:
                self._background.wait()  # no newer one will be offered
            self._put = now
            self._offer(report.step, _as_json(report.losses), now)

    def _offer(self, step: int, losses: Mapping[str, float | None], now: float) -> None:
        key, lines = self.log.segment()
        mirror = now - self._mirrored >= _MIRROR_EVERY
        self._mirrored = now if mirror else self._mirrored

        def put() -> None:
            self.store.put(key, lines)
            self.progress.put(self.store, step, losses)
            if mirror:
                self._events.mirror()

        self._background.offer(put)

    def write(self) -> None:
        """Put every line so far; what is written in the background is older, and must not come later."""
        self._background.wait()
        self.log.write()

    def stopped(self, report: StepReport) -> None:
        """Tell of the last step that this process makes, with the checkpoint that was written after it."""
        self._background.wait()
        self._background.offer(lambda: self.progress.put(self.store, report.step, _as_json(report.losses)))

    def close(self) -> None:
        """Write what is still held."""
        self._background.close()
        self.log.write()
        self.progress.close()
        for tracker in self.trackers:
            tracker.close()
        self._events.mirror()


class Habits:
    """The watch of a stage: what an `Execution` says, and the stop protocol."""

    def __init__(
        self,
        execution: Execution,
        steps: int,
        stop: StopSignal,
        checkpoints: Checkpoints,
        logbook: Logbook | None,
        validate: Callable[[int], None] | None,
    ) -> None:
        self.execution, self.steps, self.stop = execution, steps, stop
        self.checkpoints, self.logbook, self.validate = checkpoints, logbook, validate

    def flags(self) -> Sequence[bool]:
        """Asked to stop; a checkpoint could not be written."""
        return (self.stop.asked, self.checkpoints.failed)

    def after(self, state: TrainingState, report: StepReport) -> None:
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
                self.logbook.write()  # before the checkpoint: its lines must not be lost with this group
            self.checkpoints.save(state)
        if asked:
            self.checkpoints.wait()
            if self.logbook is not None:
                self.logbook.stopped(report)
            raise Stopped(f"asked to stop: the checkpoint of step {state.step} of {self.steps} is written")


def _scalars(report: StepReport) -> dict[str, float]:
    norms = {f"norm/{name}": value for name, value in report.norms.items()}
    rates = {f"lr/{name}": value for name, value in report.rates.items()}
    return {**report.losses, **norms, **rates}


def _as_json(scalars: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no word for what is not finite."""
    return {name: value if math.isfinite(value) else None for name, value in scalars.items()}
