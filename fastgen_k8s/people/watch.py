"""A pipeline shown until it ends."""

from collections.abc import Callable
from dataclasses import replace

from fastgen_k8s.errors import StoreFailed
from fastgen_k8s.view.rows import PipelineView, StageRow
from fastgen_k8s.view.show import Show


def watch(look: Callable[[], PipelineView], show: Show, pause: Callable[[], None]) -> int:
    """Look, show, pause, until the end; its exit code. Only the first look may find nobody to ask."""
    seen: PipelineView = look()
    shown: PipelineView | None = None
    with show:
        while True:
            for stage, what in changes(shown, seen):
                show.event(stage, what)
            show.look(seen)
            if seen.code is not None:
                return seen.code
            pause()
            shown = seen
            try:
                seen = look()
            except StoreFailed as error:
                seen = replace(shown, notes=(f"as it was last seen: {error}",))


def changes(before: PipelineView | None, now: PipelineView) -> list[tuple[str, str]]:
    """What is told where nothing can be drawn over: ("" or a stage, what is new of it)."""
    was = {} if before is None else {row.stage: _told(row) for row in before.rows}
    known = () if before is None else _above(before)
    above = [("", line) for line in _above(now) if line and line not in known]
    return above + [(row.stage, _told(row)) for row in now.rows if was.get(row.stage) != _told(row)]


def _above(view: PipelineView) -> tuple[str, ...]:
    return (view.heading, *view.notes)


def _told(row: StageRow) -> str:
    """A row without what changes all the time."""
    words = [row.state, f"attempt {row.attempt}" if row.attempt and row.attempt > 1 else ""]
    words += [f"{row.nodes} nodes" if row.nodes else "", "" if row.state == "running" else row.note]
    return ", ".join(filter(None, words))
