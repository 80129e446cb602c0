"""Loss curves as small inline SVGs, in the colours of the page around them."""
# pyright: basic

import io
import warnings
from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fastgen_k8s.artifacts.metrics import LOSS
from fastgen_k8s.printable import clean

Record = Mapping[str, float | None]
"""One line of a run's metrics: the step and the mean of each term, None where it was not finite."""

Points = tuple[list[float], list[float]]
"""Steps and values."""

SIZE = (3.0, 1.6)  # inches, before the page scales it
INK = "#010203"  # stands for the page's own text colour, light or dark
COLOURS = ("#3f7fd0", "#d0703f", "#2f9e77", "#a566c4")  # readable on both
LEGEND = len(COLOURS)  # more lines than that are one colour, without names
LONGEST = 24  # characters of a line's name
NO_TERMS = ("step", "time")


def panels(records: Sequence[Record]) -> dict[str, dict[str, Points]]:
    """Every term with at least two values, those named group/line together: group -> line -> points.

    The loss is left out where it is made of terms: it is another sum whenever another role has its turn.
    """
    series: dict[str, Points] = {}
    for record in records:
        step = record.get("step")  # events have none
        for name, value in record.items():
            a_term = name not in NO_TERMS and not name.startswith("lr/")
            if a_term and isinstance(step, int | float) and isinstance(value, int | float):
                steps, values = series.setdefault(name, ([], []))
                steps.append(step)
                values.append(value)
    found: dict[str, dict[str, Points]] = {}
    for name, points in series.items():
        group, _, line = name.partition("/")
        if len(points[0]) > 1:
            found.setdefault(group, {})[line] = points
    has_terms = found.keys() - {LOSS, "norm"}
    return {group: lines for group, lines in found.items() if group != LOSS or not has_terms}


def curves(name: str, records: Sequence[Record]) -> dict[str, str]:
    """An `<svg>` element per panel of the run `name`, by what the panel shows."""
    named = {clean(group): lines for group, lines in panels(records).items()}
    return {
        group if len(lines) <= LEGEND else f"{group}, {len(lines)} lines": _drawn(f"{name}/{group}", lines)
        for group, lines in named.items()
    }


def _label(line: str) -> str:
    """The name of a line as text: matplotlib leaves out those that begin with an underscore."""
    words = clean(line).replace("_", " ")
    return words if len(words) <= LONGEST else f"{words[:LONGEST]}..."


def _drawn(key: str, lines: Mapping[str, Points]) -> str:
    # The key salts the names inside the drawing: several drawings share one page.
    with (
        mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": key, "font.size": 8, "font.family": "sans-serif"}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of the font that sizes are guessed by: text stays text
        figure = Figure(figsize=SIZE, layout="constrained")
        _panel(figure.add_subplot(), lines)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn = buffer.getvalue()
    return drawn[drawn.index("<svg") :].replace(INK, "currentColor")


def _panel(axes: Axes, lines: Mapping[str, Points]) -> None:
    few = len(lines) <= LEGEND
    for index, (line, (steps, values)) in enumerate(lines.items()):
        colour = COLOURS[index if few else 0]
        axes.plot(steps, values, color=colour, linewidth=1.1 if few else 0.6, label=_label(line))
    lowest, highest = (limit(limit(values) for _, values in lines.values()) for limit in (min, max))
    if lowest > 0 and highest > 10 * lowest:
        axes.set_yscale("log")
    if 1 < len(lines) <= LEGEND:
        for text in axes.legend(frameon=False, labelcolor=INK, fontsize=7, handlelength=1).get_texts():
            text.set_parse_math(False)
    axes.tick_params(which="both", colors=INK, labelcolor=INK, width=0.5, length=2)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
        spine.set_linewidth(0.5)
