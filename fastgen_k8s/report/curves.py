"""Loss curves as small inline SVGs, in the colours of the page around them."""
# pyright: basic

import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Record = Mapping[str, float | None]
"""One line of a run's metrics: the step and the mean of each term, None where it was not finite."""

SIZE = (3.0, 1.5)  # inches, before the page scales it
INK = "#010203"  # stands for the page's own text colour, light or dark
LINE = "#3f7fd0"  # readable on both


def terms(records: Sequence[Record]) -> dict[str, tuple[list[float], list[float]]]:
    """Steps and values of every term that has at least two, by name."""
    series: dict[str, tuple[list[float], list[float]]] = {}
    for record in records:
        step = record.get("step")  # events have none
        for name, value in record.items():
            if step is not None and value is not None and name != "step" and not name.startswith("lr/"):
                steps, values = series.setdefault(name, ([], []))
                steps.append(step)
                values.append(value)
    return {name: points for name, points in series.items() if len(points[0]) > 1}


def curves(name: str, records: Sequence[Record]) -> dict[str, str]:
    """An `<svg>` element per term of the run `name`."""
    return {term: _drawn(f"{name}/{term}", *points) for term, points in terms(records).items()}


def _drawn(key: str, steps: Sequence[float], values: Sequence[float]) -> str:
    # The key salts the names inside the drawing: several drawings share one page.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": key, "font.size": 8, "font.family": "sans-serif"}):
        figure = Figure(figsize=SIZE, layout="constrained")
        _panel(figure.add_subplot(), steps, values)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn = buffer.getvalue()
    return drawn[drawn.index("<svg") :].replace(INK, "currentColor")


def _panel(axes: Axes, steps: Sequence[float], values: Sequence[float]) -> None:
    axes.plot(steps, values, color=LINE, linewidth=1.2)
    if min(values) > 0 and max(values) > 10 * min(values):
        axes.set_yscale("log")
    axes.tick_params(colors=INK, labelcolor=INK, width=0.5, length=2)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
        spine.set_linewidth(0.5)
