"""How a pipeline stands, a row for each stage: drawn as a table on a terminal, as plain lines elsewhere."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fastgen_k8s.printable import clean

_STYLES = {
    "succeeded": "green",
    "queued": "cyan",
    "running": "bold",
    "stopping": "yellow",
    "failed": "red",
}
_BAR = 20  # characters
_WIDEST = 4000  # characters of a plain line: none is broken
_FEW = 100.0  # seconds that are told by themselves


@dataclass(frozen=True)
class StageRow:
    """A stage as it stands."""

    stage: str
    kind: str
    state: str
    seconds: float | None = None  # that it takes or took
    note: str = ""  # how far it is, why it waits, or how it ended
    attempt: int | None = None
    nodes: str = ""  # that work, of how many
    began: str = ""
    share: float | None = None  # of its steps that are made, while it makes some


@dataclass(frozen=True)
class PipelineView:
    """A pipeline as it stands."""

    rows: tuple[StageRow, ...]
    heading: str = ""
    notes: tuple[str, ...] = ()  # sentences about the whole of it
    code: int | None = None  # the exit code that its end comes to; None: it goes on


@dataclass(frozen=True)
class _Column:
    heading: str
    cell: Callable[[StageRow], str]
    justify: JustifyMethod = "left"
    always: bool = False  # also when it is empty


_COLUMNS = (
    _Column("stage", lambda row: row.stage, always=True),
    _Column("kind", lambda row: row.kind, always=True),
    _Column("state", lambda row: row.state, always=True),
    _Column("attempt", lambda row: str(row.attempt) if row.attempt else "", "right"),
    _Column("nodes", lambda row: row.nodes, "right"),
    _Column("began", lambda row: row.began, "right"),
    _Column("time", lambda row: "" if row.seconds is None else span(row.seconds), "right", always=True),
)


def table(rows: Sequence[StageRow], bars: bool = True) -> Table:
    """The stages, one a line; a column in which nobody has something to say is left out."""
    drawn = Table(box=None, pad_edge=False)
    shown = [column for column in _COLUMNS if column.always or any(column.cell(row) for row in rows)]
    barred = bars and any(row.share is not None for row in rows)
    for column in shown:
        drawn.add_column(column.heading, justify=column.justify, no_wrap=True)
    if barred:
        drawn.add_column("", width=_BAR)
    drawn.add_column("")
    for row in rows:
        cells = [_text(column.cell(row)) for column in shown]
        bar = [_bar(row.share)] if barred else []
        drawn.add_row(*cells, *bar, _text(row.note), style=_STYLES.get(row.state, "dim"))
    return drawn


def drawn(view: PipelineView) -> RenderableType:
    """A pipeline for a terminal."""
    heading = [Text(clean(view.heading), style="bold")] if view.heading else []
    return Group(*heading, *(Text(clean(note)) for note in view.notes), table(view.rows))


def plain(view: PipelineView) -> list[str]:
    """The same as lines of text, one a stage, however long."""
    above = [*([view.heading] if view.heading else []), *view.notes]
    return [*map(clean, above), *lines(table(view.rows, bars=False))]


def lines(what: RenderableType) -> list[str]:
    """Something drawn without a terminal: no colours, no broken lines, no blanks at the end."""
    file = io.StringIO()
    Console(file=file, width=_WIDEST, color_system=None, force_terminal=False).print(what)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def span(seconds: float) -> str:
    """A time that something takes, to two places."""
    if seconds < _FEW:
        return f"{max(0.0, seconds):.1f} s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86_400)
    if minutes < 60:
        return f"{minutes} min {int(seconds % 60)} s"
    return f"{hours} h {minutes % 60} min" if hours < 24 else f"{days} d {hours % 24} h"


def clock(when: float, now: datetime) -> str:
    """A moment (seconds since 1970) where `now` is: the time alone on the same day; "" when no calendar has it."""
    try:
        there = datetime.fromtimestamp(when, now.tzinfo)
    except (ValueError, OverflowError, OSError):
        return ""
    return f"{there:%H:%M:%S}" if there.date() == now.date() else f"{there:%Y-%m-%d %H:%M}"


def _text(said: str) -> Text:
    return Text(clean(said))


def _bar(share: float | None) -> RenderableType:
    return "" if share is None else ProgressBar(1.0, share, _BAR)
