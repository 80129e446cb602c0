"""Where a pipeline is shown: a table that is drawn over on a terminal, lines elsewhere."""

import io
import re

import pytest
from rich.console import Console

from fastgen_k8s.view.rows import PipelineView, StageRow
from fastgen_k8s.view.show import Lines, Show, Terminal, screen


def running(note: str, state: str = "running") -> PipelineView:
    """A pipeline of one stage."""
    return PipelineView((StageRow("kd", "train", state, 1.0, note),), "shapes")


@pytest.fixture
def file() -> io.StringIO:
    """Where it is written."""
    return io.StringIO()


def test_on_a_terminal_the_last_look_stays(file: io.StringIO) -> None:
    with Terminal(Console(file=file, width=80, force_terminal=True)) as show:
        show.event("kd", "is told by the table")
        for note in ("1/9", "9/9"):
            show.look(running(note))
    *_, last = (line for line in re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", file.getvalue()).splitlines() if line)
    assert last.split() == ["kd", "train", "running", "1.0", "s", "9/9"]


@pytest.fixture
def show(file: io.StringIO) -> Show:
    """Lines, by a clock that a test sets."""
    screen(file)  # says where lines go
    return Lines(iter(range(0, 1000, 20)).__next__)


def test_elsewhere_an_event_is_a_line(show: Show, file: io.StringIO) -> None:
    show.event("kd", "two\nlines\x1b[31m")
    show.event("", "of the pipeline")
    lines = [line[9:].split() for line in file.getvalue().splitlines()]
    assert lines == [["two", "lines", "[31m", "stage=kd"], ["of", "the", "pipeline"]]


def test_a_running_stage_is_told_of_now_and_then(show: Show, file: io.StringIO) -> None:
    show.event("kd", "started")
    for step in range(6):
        show.look(running(f"{step}/9"))
    said = [line[9:].split()[:2] for line in file.getvalue().splitlines()]
    assert said[0][0] == "started"
    assert 0 < len(said) - 1 < 6
    assert all(words[0] == "running" for words in said[1:])


def test_a_stage_that_does_not_run_is_told_of_by_events_alone(show: Show, file: io.StringIO) -> None:
    for _ in range(6):
        show.look(running("waits", "waiting"))
    assert file.getvalue() == ""
