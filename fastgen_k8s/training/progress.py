"""How far a run is: a bar on a terminal, log lines elsewhere, and `progress.json` beside the artifact."""

import sys
import time
from collections.abc import Callable, Mapping

from rich import progress as bars
from rich.console import Console

from fastgen_k8s import log
from fastgen_k8s.artifacts import Store
from fastgen_k8s.artifacts.metrics import LOSS
from fastgen_k8s.artifacts.progress import Progress


class Reporter:
    """Shows the steps of a run, from `first` to `steps`, as they end."""

    def __init__(self, name: str, first: int, steps: int, checkpoint: Callable[[], int | None]) -> None:
        self.steps, self._before, self._began = steps, first - 1, time.monotonic()
        self._checkpoint = checkpoint  # step of the last one
        self._bar = _bar(name, self._before, steps) if sys.stderr.isatty() else None

    def show(self, step: int, losses: Mapping[str, float]) -> None:
        """Show a step that is to be logged."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=max(0, step), loss=f"loss {losses[LOSS]:.4g}")
        else:
            rounded = {name: float(f"{value:.6g}") for name, value in losses.items()}
            log.info("step", step=step, of=self.steps, eta=f"{self.eta(step):.0f}s", **rounded)

    def eta(self, step: int) -> float:
        """Seconds to the end, at the pace of the steps that this process has made."""
        return (self.steps - step) / self.rate(step)

    def rate(self, step: int) -> float:
        """Steps a second of this process."""
        return max(1, step - self._before) / max(1e-9, time.monotonic() - self._began)

    def put(self, store: Store, step: int, losses: Mapping[str, float | None]) -> None:
        """Write the file that runners and controllers read."""
        rate, eta = float(f"{self.rate(step):.4g}"), round(self.eta(step), 1)
        Progress(step, self.steps, rate, eta, losses.get(LOSS), self._checkpoint(), losses).put(store)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()


def _bar(name: str, before: int, steps: int) -> bars.Progress:
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.fields[loss]}"),
    )
    bar = bars.Progress(*columns, console=Console(stderr=True))
    bar.add_task(name, total=steps, completed=max(0, before), loss="")
    bar.start()
    return bar
