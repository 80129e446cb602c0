"""One self-contained page: everything inside the file, nothing loaded from elsewhere."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from jinja2 import Environment, PackageLoader, StrictUndefined, Undefined
from markupsafe import Markup

from fastgen_k8s.artifacts import Manifest
from fastgen_k8s.report.metric import MetricRow
from fastgen_k8s.report.speed import Speed


@dataclass(frozen=True)
class Column:
    """One set of clips as a column of videos."""

    title: str
    note: str
    videos: Mapping[str, bytes]  # prompt -> MP4 of its first clip


@dataclass(frozen=True)
class Curve:
    """The loss curves of one training run."""

    title: str
    panels: Mapping[str, str]  # term -> `<svg>` element


@dataclass(frozen=True)
class Page:
    """What the page says."""

    title: str
    note: str
    titles: Mapping[str, str]  # input -> what the page calls it
    prompts: Sequence[str]  # shown as videos
    columns: Sequence[Column]
    rows: Sequence[MetricRow]
    speeds: Sequence[Speed]
    curves: Sequence[Curve]
    times: Mapping[str, float]  # seconds by stage
    sources: Mapping[str, Manifest]  # of the inputs, by their names
    versions: Mapping[str, str]

    @property
    def measures(self) -> list[str]:
        """Every metric that some row has, in order."""
        return list(dict.fromkeys(name for row in self.rows for name in row.values))


SUMMARY = re.compile(r'<script type="application/json" id="summary">(.*?)</script>', re.DOTALL)


def render(page: Page, summary: str) -> str:
    """The page as HTML, with its numbers as JSON inside."""
    environment = Environment(
        loader=PackageLoader("fastgen_k8s.report", "."),
        autoescape=True,
        undefined=cast("type[Undefined]", StrictUndefined),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, duration=duration, data_uri=data_uri, svg=Markup, hashed=hashed)
    inside = Markup(summary.replace("<", "\\u003c"))  # so that no string in it can end the element
    return environment.get_template("page.html.jinja").render(page=page, summary=inside)


def summary_in(html: str) -> str:
    """The JSON inside a page."""
    found = SUMMARY.search(html)
    assert found is not None  # the template has it
    return found[1]


def number(value: float) -> str:
    """A metric with three digits behind the point, fewer for large ones."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def duration(seconds: float) -> str:
    """Seconds for a person.

    >>> duration(0.0123), duration(8.25), duration(75), duration(3700)
    ('12 ms', '8.2 s', '1 min 15 s', '1 h 2 min')
    """
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def hashed(script: str) -> Markup:
    """What a Content-Security-Policy calls a script by: that one runs, and no other."""
    return Markup(f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'")


def data_uri(video: bytes) -> str:
    """An MP4 inside the page."""
    return "data:video/mp4;base64," + base64.b64encode(video).decode()
