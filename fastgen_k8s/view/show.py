"""Where a pipeline is shown: a live table on a terminal, one line an event elsewhere."""

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TextIO

import structlog
from rich.console import Console
from rich.live import Live

from fastgen_k8s.printable import clean
from fastgen_k8s.view.rows import PipelineView, drawn, plain

_EVERY = 30.0  # seconds between two lines about a running stage


def screen(file: TextIO | None = None) -> "Show":
    """The table on a terminal, lines elsewhere; on stderr, if no other file is given."""
    where = file or sys.stderr
    console = Console(file=where)
    if console.is_terminal:
        return Terminal(console)
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(colors=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(where),
    )
    return Lines()


def show(view: PipelineView) -> None:
    """Print it once, on stdout."""
    console = Console()
    if console.is_terminal:
        console.print(drawn(view))
    else:
        print(*plain(view), sep="\n")


class Terminal(Live):
    """A table that is drawn over."""

    def __init__(self, console: Console) -> None:
        super().__init__(console=console, refresh_per_second=4)

    def event(self, stage: str, what: str) -> None:
        """The table says it."""

    def look(self, view: PipelineView) -> None:
        """Draw the table."""
        self.update(drawn(view))


class Lines(AbstractContextManager["Lines"]):
    """One line an event, and one now and then about a running stage."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger()
        self._clock = clock
        self._said: dict[str, float] = {}

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def event(self, stage: str, what: str) -> None:
        """Say it."""
        self._said[stage] = self._clock()
        self._log.info(clean(what), **({"stage": stage} if stage else {}))

    def look(self, view: PipelineView) -> None:
        """Say how the running stages stand, when nothing was said of them for a while."""
        for row in view.rows:
            if row.state == "running" and self._clock() - self._said.setdefault(row.stage, self._clock()) > _EVERY:
                self._said[row.stage] = self._clock()
                self._log.info(clean(f"running {row.note}").strip(), stage=row.stage)


Show = Terminal | Lines
"""Where it is told what happens to a pipeline."""
