"""What a stage stored of its steps beside its artifact, as lines for a person."""

from collections.abc import Mapping
from typing import Any

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.artifacts.metrics import LOSS, read_metrics


def stored(place: str) -> list[str]:
    """Every logged step of a stage whose artifact is, or will be, at a place; none for one that makes no steps."""
    return [_line(step) for step in read_metrics(store_at(place))]


def _line(step: Mapping[str, Any]) -> str:
    first = {"step": step["step"], **({"loss": step[LOSS]} if LOSS in step else {})}
    rest = {name: value for name, value in step.items() if name not in ("step", LOSS, "time")}
    return " ".join(f"{name}={_number(value)}" for name, value in (first | rest).items())


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
