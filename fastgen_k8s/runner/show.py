"""What a run looks like: a live table on a terminal, one line an event elsewhere."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, cast

import structlog
from rich.console import Console
from rich.live import Live
from rich.table import Table

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.errors import FastgenError

PROGRESS = "progress.json"  # beside the artifact, replaced whole by the stage
_EVERY = 30.0  # seconds between two lines about a running stage
_STYLES = {"done": "green", "up to date": "green", "running": "bold", "stopping": "yellow", "failed": "red"}


@dataclass(frozen=True)
class Row:
    """A stage as it stands."""

    stage: str
    kind: str
    state: str
    seconds: float | None = None
    note: str = ""


class Show(Protocol):
    """Where a run tells what happens."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, leaving what was shown."""
        ...

    def event(self, stage: str, what: str) -> None:
        """Something happened to a stage."""
        ...

    def look(self, rows: Sequence[Row]) -> None:
        """How all stages stand now."""
        ...


def screen() -> Show:
    """The table on a terminal, lines elsewhere; both on stderr."""
    console = Console(stderr=True)
    if console.is_terminal:
        return Terminal(console)
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(colors=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    return Lines()


class Terminal:
    """A table that is drawn over."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def event(self, stage: str, what: str) -> None:
        """The table says it."""

    def look(self, rows: Sequence[Row]) -> None:
        """Draw the table."""
        self._live.update(table(rows))


class Lines:
    """One line an event, and one now and then about a running stage."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger()
        self._clock = clock
        self._said: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def event(self, stage: str, what: str) -> None:
        """Say it."""
        self._said[stage] = self._clock()
        self._log.info(what, stage=stage)

    def look(self, rows: Sequence[Row]) -> None:
        """Say how the running stages stand, when nothing was said of them for a while."""
        for row in rows:
            if row.state == "running" and self._clock() - self._said.setdefault(row.stage, self._clock()) > _EVERY:
                self._said[row.stage] = self._clock()
                self._log.info(" ".join(["running", row.note]).strip(), stage=row.stage)


def table(rows: Sequence[Row]) -> Table:
    """The stages, one a line."""
    drawn = Table(box=None, pad_edge=False)
    for heading in ("stage", "kind", "state", "time", ""):
        drawn.add_column(heading, justify="right" if heading == "time" else "left")
    for row in rows:
        seconds = "" if row.seconds is None else f"{row.seconds:.1f} s"
        drawn.add_row(row.stage, row.kind, row.state, seconds, row.note, style=_STYLES.get(row.state, "dim"))
    return drawn


def progress(output: str) -> str:
    """How far a running stage is, from the small file that it keeps beside its artifact; "" when it keeps none."""
    try:
        said = cast("dict[str, object]", json.loads(store_at(output).find(PROGRESS) or b"{}"))
    except (FastgenError, ValueError):
        return ""
    step, steps, eta, losses = (said.get(name) for name in ("step", "steps", "eta_seconds", "losses"))
    loss = cast("dict[str, object]", losses).get("total") if isinstance(losses, dict) else None
    words = [f"{step}/{steps}" if step is not None else ""]
    words += [f"{eta:.0f} s left"] if isinstance(eta, int | float) else []
    words += [f"loss {loss:.4g}"] if isinstance(loss, int | float) else []
    return ", ".join(word for word in words if word)
