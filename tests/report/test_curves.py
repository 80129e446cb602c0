"""Loss curves as SVG."""

from typing import Any
from xml.etree import ElementTree

import pytest

from fastgen_k8s.report.curves import curves, panels

RECORDS = [
    {
        "step": 1,
        "time": 5.0,
        "total": 2.0,
        "flow": 1.0,
        "norm/student": 3.0,
        "norm/fake_score": 1.0,
        "lr/student": 1e-3,
    },
    {"event": 1.0},
    {"step": 2, "time": 6.0, "total": 3.0, "flow": None, "norm/student": 3.0, "lr/student": 1e-3},
    {"step": 3, "time": 7.0, "total": 0.1, "flow": 0.25, "once": 1.0, "norm/fake_score": 1.0, "lr/student": 1e-3},
]


def test_a_value_that_was_not_finite_is_left_out() -> None:
    assert panels(RECORDS)["flow"] == {"": ([1, 3], [1.0, 0.25])}


def test_the_lines_of_one_group_share_a_panel() -> None:
    assert list(panels(RECORDS)["norm"]) == ["student", "fake_score"]


def test_times_rates_single_values_and_a_total_of_terms_are_no_panels() -> None:
    assert list(panels(RECORDS)) == ["flow", "norm"]


def test_a_total_without_terms_is_a_panel() -> None:
    assert list(panels([{"step": 1, "total": 2.0}, {"step": 2, "total": 1.0}])) == ["total"]


def test_a_panel_is_one_svg_element() -> None:
    assert ElementTree.fromstring(curves("kd", RECORDS)["flow"]).tag == "{http://www.w3.org/2000/svg}svg"


def test_a_panel_is_drawn_in_the_pages_ink() -> None:
    assert "currentColor" in curves("kd", RECORDS)["flow"]


def test_equal_runs_are_drawn_with_equal_bytes() -> None:
    assert curves("kd", RECORDS) == curves("kd", RECORDS)


def test_drawings_of_one_page_share_no_names() -> None:
    drawn = curves("kd", RECORDS)
    clips = [{part.split('"')[0] for part in svg.split('clipPath id="')[1:]} for svg in drawn.values()]
    assert clips[0] and not clips[0] & clips[1]


PLAIN = ["$", "$x", "a $b$", r"$\frac$", "<b> & 'c'", "形"]
NAMES = [*PLAIN, "_hidden", "two\nlines", "long" * 200, "\ud800", "\u202e", ""]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_is_drawn_as_text_whatever_it_is(name: str) -> None:
    records = [{"step": step, name or "x": 1.0, f"norm/{name}": 1.0, "norm/other": 2.0} for step in range(3)]
    drawn = curves("kd", records)
    assert len(drawn) == 2
    for svg in drawn.values():
        ElementTree.fromstring(svg)
    assert name not in PLAIN or name in "".join(ElementTree.fromstring(drawn["norm"]).itertext())


def test_what_is_no_number_is_left_out() -> None:
    records: list[Any] = [{"step": step, "flow": 1.0, "word": "x", "list": [step]} for step in range(3)]
    assert list(panels(records)) == ["flow"]
