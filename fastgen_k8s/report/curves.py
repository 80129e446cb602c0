"""Loss curves as small inline SVGs, in the colours of the page around them."""
# pyright: basic

import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Record = Mapping[str, float | None]
"""One line of a run's metrics: the step and the mean of each term, None where it was not finite."""

Points = tuple[list[float], list[float]]
"""Steps and values."""

SIZE = (3.0, 1.6)  # inches, before the page scales it
INK = "#010203"  # stands for the page's own text colour, light or dark
COLOURS = ("#3f7fd0", "#d0703f", "#2f9e77", "#a566c4")  # readable on both
LEGEND = len(COLOURS)  # more lines than that are one colour, without names
NO_TERMS = ("step", "time")


def panels(records: Sequence[Record]) -> dict[str, dict[str, Points]]:
    """Every term with at least two values, those named group/line together: group -> line -> points.

    The total is left out where it is made of terms: it is another sum whenever another role has its turn.
    """
    series: dict[str, Points] = {}
    for record in records:
        step = record.get("step")  # events have none
        for name, value in record.items():
            if step is not None and value is not None and name not in NO_TERMS and not name.startswith("lr/"):
                steps, values = series.setdefault(name, ([], []))
                steps.append(step)
                values.append(value)
    found: dict[str, dict[str, Points]] = {}
    for name, points in series.items():
        group, _, line = name.partition("/")
        if len(points[0]) > 1:
            found.setdefault(group, {})[line] = points
    has_terms = found.keys() - {"total", "norm"}
    return {group: lines for group, lines in found.items() if group != "total" or not has_terms}


def curves(name: str, records: Sequence[Record]) -> dict[str, str]:
    """An `<svg>` element per panel of the run `name`, by what the panel shows."""
    return {
        group if len(lines) <= LEGEND else f"{group}, {len(lines)} lines": _drawn(f"{name}/{group}", lines)
        for group, lines in panels(records).items()
    }


def _drawn(key: str, lines: Mapping[str, Points]) -> str:
    # The key salts the names inside the drawing: several drawings share one page.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": key, "font.size": 8, "font.family": "sans-serif"}):
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
        axes.plot(steps, values, color=colour, linewidth=1.1 if few else 0.6, label=line.replace("_", " "))
    lowest, highest = (limit(limit(values) for _, values in lines.values()) for limit in (min, max))
    if lowest > 0 and highest > 10 * lowest:
        axes.set_yscale("log")
    if 1 < len(lines) <= LEGEND:
        axes.legend(frameon=False, labelcolor=INK, fontsize=7, handlelength=1)
    axes.tick_params(which="both", colors=INK, labelcolor=INK, width=0.5, length=2)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
        spine.set_linewidth(0.5)
