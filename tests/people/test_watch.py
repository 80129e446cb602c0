"""A pipeline that is watched: what is told of it where nothing can be drawn over, and when that ends."""

import io
from collections.abc import Callable, Iterator

import pytest

from fastgen_k8s.errors import StoreFailed
from fastgen_k8s.people.watch import changes, watch
from fastgen_k8s.view.rows import PipelineView, StageRow
from fastgen_k8s.view.show import Show, screen

WAITING, RUNNING, DONE = (
    PipelineView((StageRow("kd", "train", "waiting", note="waits for pairs"),), "shapes", ("Succeeded: waits",)),
    PipelineView((StageRow("kd", "train", "running", 1.0, "1/9", 1, "1/2"),), "shapes", ("Succeeded: running",)),
    PipelineView((StageRow("kd", "train", "succeeded", 9.0, "9/9", 1),), "shapes", ("Succeeded: all",), code=0),
)


def one_more_step(view: PipelineView) -> PipelineView:
    """The same a second later."""
    [row] = view.rows
    return PipelineView(
        (StageRow(row.stage, row.kind, row.state, 2.0, "2/9", row.attempt, row.nodes),), view.heading, view.notes
    )


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (None, WAITING, [("", "shapes"), ("", "Succeeded: waits"), ("kd", "waiting, waits for pairs")]),
        (WAITING, WAITING, []),
        (WAITING, RUNNING, [("", "Succeeded: running"), ("kd", "running, 1/2 nodes")]),
        (RUNNING, one_more_step(RUNNING), []),
        (RUNNING, DONE, [("", "Succeeded: all"), ("kd", "succeeded, 9/9")]),
    ],
)
def test_what_is_new_is_told_once(before: PipelineView | None, now: PipelineView, told: list[tuple[str, str]]) -> None:
    assert changes(before, now) == told


def looks(*answers: PipelineView | StoreFailed) -> Callable[[], PipelineView]:
    """What one look after the other finds."""
    left: Iterator[PipelineView | StoreFailed] = iter(answers)

    def look() -> PipelineView:
        answer = next(left)
        if isinstance(answer, StoreFailed):
            raise answer
        return answer

    return look


@pytest.fixture
def said() -> io.StringIO:
    """A file that is no terminal."""
    return io.StringIO()


@pytest.fixture
def show(said: io.StringIO) -> Show:
    """Lines in that file."""
    return screen(said)


def test_it_ends_with_the_exit_code_of_the_pipeline(show: Show, said: io.StringIO) -> None:
    assert watch(looks(WAITING, RUNNING, DONE), show, lambda: None) == 0
    stages = [line.split("stage=")[0].split("  ")[0][9:] for line in said.getvalue().splitlines() if "stage=" in line]
    assert stages == ["waiting, waits for pairs", "running, 1/2 nodes", "succeeded, 9/9"]


def test_it_outlives_an_outage_and_says_so(show: Show, said: io.StringIO) -> None:
    down = StoreFailed("https://x: wanted a server, found none")
    assert watch(looks(RUNNING, down, down, DONE), show, lambda: None) == 0
    assert said.getvalue().count("as it was last seen: https://x: wanted a server, found none") == 1


def test_a_first_look_that_fails_is_the_answer(show: Show) -> None:
    with pytest.raises(StoreFailed):
        watch(looks(StoreFailed("none")), show, lambda: None)


def test_it_looks_only_after_each_pause(show: Show) -> None:
    pauses: list[None] = []
    watch(looks(WAITING, RUNNING, DONE), show, lambda: pauses.append(None))
    assert len(pauses) == 2
