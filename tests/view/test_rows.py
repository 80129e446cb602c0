"""The one drawing of a pipeline: exact lines without a terminal, colours and bars on one."""

import io
from datetime import UTC, datetime, timedelta, timezone

import pytest
from rich.console import Console

from fastgen_k8s.view.rows import PipelineView, StageRow, clock, drawn, plain, span

LOCAL = PipelineView(
    (
        StageRow("conditions", "encode", "succeeded", 1.0),
        StageRow("kd", "train", "running", 12.34, "3/9, 4 s left", share=1 / 3),
        StageRow("sf", "train", "waiting"),
    )
)
CLUSTER = PipelineView(
    (
        StageRow("pairs", "pairs", "succeeded", 192, "", 1, began="12:03:20"),
        StageRow("kd", "train", "running", 12.34, "3/9, 4 s left", 2, "3/4", "13:03:20", 1 / 3),
        StageRow("sf", "train", "waiting", note="waits for kd"),
    ),
    "fastgen/shapes: Accepted=True (Planned), Succeeded=Unknown (Running)",
    ("Succeeded: running: kd",),
)


def on_a_terminal(view: PipelineView) -> str:
    """What is written to a terminal of that width."""
    file = io.StringIO()
    Console(file=file, width=120, force_terminal=True, color_system="standard").print(drawn(view))
    return file.getvalue()


def test_a_laptops_pipeline_is_a_line_a_stage() -> None:
    assert plain(LOCAL) == [
        "stage       kind    state        time",
        "conditions  encode  succeeded   1.0 s",
        "kd          train   running    12.3 s  3/9, 4 s left",
        "sf          train   waiting",
    ]


def test_a_clusters_pipeline_says_more_in_the_same_lines() -> None:
    assert plain(CLUSTER) == [
        "fastgen/shapes: Accepted=True (Planned), Succeeded=Unknown (Running)",
        "Succeeded: running: kd",
        "stage  kind   state      attempt  nodes     began        time",
        "pairs  pairs  succeeded        1         12:03:20  3 min 12 s",
        "kd     train  running          2    3/4  13:03:20      12.3 s  3/9, 4 s left",
        "sf     train  waiting                                          waits for kd",
    ]


def test_a_pipeline_without_stages_is_its_heading() -> None:
    assert plain(PipelineView((), "x", ("y",)))[:2] == ["x", "y"]


def test_a_line_is_not_broken_however_long_it_is() -> None:
    *_, line = plain(PipelineView((StageRow("kd", "train", "failed", note="long " * 200 + "end"),)))
    assert line.endswith("long end")


@pytest.mark.parametrize("hostile", ["\x1b[31mred\x1b[0m", "two\nlines", "[bold]markup[/]", "[/nothing]", "\ud800"])
def test_words_of_others_neither_colour_nor_break_a_line(hostile: str) -> None:
    view = PipelineView((StageRow("kd", "train", "failed", note=hostile),), hostile, (hostile,))
    said = plain(view)
    assert (len(said), any("\x1b" in line for line in said)) == (4, False)
    assert "\x1b[31mred" not in on_a_terminal(view)


def test_on_a_terminal_a_state_has_its_colour_and_steps_have_a_bar() -> None:
    shown = on_a_terminal(CLUSTER)
    assert ("\x1b[32msucceeded" in shown, "━" in shown) == (True, True)


def test_without_steps_there_is_no_bar() -> None:
    assert "━" not in on_a_terminal(PipelineView((StageRow("kd", "train", "running", 1.0),)))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0.0 s"),
        (0.04, "0.0 s"),
        (99, "99.0 s"),
        (192, "3 min 12 s"),
        (3600, "1 h 0 min"),
        (86_399, "23 h 59 min"),
        (90_000, "1 d 1 h"),
        (2**53, "104249991374 d 7 h"),
    ],
)
def test_a_time_is_said_to_two_places(seconds: float, said: str) -> None:
    assert span(seconds) == said


NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("when", "now", "said"),
    [
        (NOON - timedelta(hours=2), NOON, "10:00:00"),
        (NOON - timedelta(hours=13), NOON, "2026-11-24 23:00"),
        (NOON, NOON.astimezone(timezone(timedelta(hours=1))), "13:00:00"),
    ],
)
def test_a_moment_is_told_by_the_clock_of_whoever_asks(when: datetime, now: datetime, said: str) -> None:
    assert clock(when.timestamp(), now) == said


@pytest.mark.parametrize("when", [1e18, -1e18])
def test_a_moment_outside_of_every_calendar_is_not_told(when: float) -> None:
    assert clock(when, NOON) == ""
