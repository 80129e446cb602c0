"""The experiment's own metric over sets of clips, and how sure its numbers are."""

import importlib
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import Tensor

from fastgen_k8s.errors import Misdescribed, Unhealthy
from fastgen_k8s.experiments.schema import Experiment
from fastgen_k8s.printable import shown
from fastgen_k8s.report.clips import Clips

Metric = Callable[[Experiment, Tensor, Sequence[str]], Mapping[str, float]]
"""Called with the experiment, latents [N, C, T, H, W], and the prompt of each."""


@dataclass(frozen=True)
class MetricRow:
    """One set of clips, measured."""

    name: str  # of the input
    clips: int
    values: Mapping[str, float]
    errors: Mapping[str, float]  # one standard error, of those values that are shares of the clips


def load_metric(reference: str) -> Metric:
    """The function that `package.module:function` names; Misdescribed when there is none."""
    module_name, _, name = reference.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), name]):
        raise Misdescribed(f"report.metric: wanted package.module:function, found {reference!r}")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # a metric of the reader's own lies where the pipeline was started
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise Misdescribed(f"report.metric: wanted a module {module_name!r}, found none ({error})") from error
    found: object = vars(module).get(name)
    if not callable(found):
        raise Misdescribed(f"report.metric: wanted a function {name!r} in {module_name}, found {shown(found)}")
    return cast(Metric, found)


def standard_error(share: float, count: int) -> float:
    """Of a share of `count` independent clips: sqrt(p (1 - p) / n), the binomial deviation.

    At p of 0 or 1 that would claim certainty, so the share is moved towards one half by two clips of each kind first
    (Agresti & Coull 1998).
    """
    p = (share * count + 2) / (count + 4)
    return math.sqrt(p * (1 - p) / (count + 4))


def measured(metric: Metric, experiment: Experiment, clips: Clips) -> MetricRow:
    """The row of one set of clips; Unhealthy when the metric has no number for them."""
    values = dict(metric(experiment, clips.latents(), clips.prompts))
    broken = [f"{name} = {value}" for name, value in values.items() if not math.isfinite(value)]
    if broken:
        raise Unhealthy(f"metric of {clips.name}: wanted finite numbers, found {', '.join(broken)}")
    count = len(clips.prompts)
    errors = {name: standard_error(values[name], count) for name in experiment.report.shares if name in values}
    return MetricRow(clips.name, count, values, errors)
