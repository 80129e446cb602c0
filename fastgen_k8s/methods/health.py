"""Bounds on what distribution matching logs: a run that has gone wrong stops with a diagnosis.

Its terms: `critic` and `teacher`, the losses of both on the same noised samples of the student; the variance about zero
of what the student makes, `variance/exit<step>/chunk<k>`, and of real clips, `variance/real/chunk<k>`.
"""

import math
from collections.abc import Mapping

from fastgen_k8s.errors import Unhealthy
from fastgen_k8s.experiments.method import Health


def critic_lag(logged: Mapping[str, float], largest: float) -> str | None:
    """What is wrong when the critic models the student's samples worse than the teacher that it started from."""
    critic, teacher = logged["critic"], logged["teacher"]
    if critic <= largest * teacher:
        return None
    found = f"found {critic / teacher:.3g} times"
    return f"critic lag: wanted a critic loss of at most {largest:g} times the teacher's, {found}"


def variance_ratio(logged: Mapping[str, float], low: float, high: float) -> str | None:
    """What is wrong when a chunk varies less or more than the real one does; latents without a real one vary by 1."""
    for name, value in logged.items():
        if name.startswith("variance/exit"):
            real = logged.get(f"variance/real/{name.rpartition('/')[2]}", 1.0)
            if not low * real <= value <= high * real:
                where = name.removeprefix("variance/").replace("/", ", ")
                return f"variance ratio: wanted {low:g} to {high:g} of the real, found {value / real:.3g} at {where}"
    return None


class Bounds:
    """Counts how many updates in a row each bound was broken."""

    def __init__(self, health: Health) -> None:
        self.health = health
        self.streaks = {"critic_lag": 0, "variance": 0}

    def check(self, step: int, logged: Mapping[str, float]) -> None:
        """Raise Unhealthy for a number that is not finite, or for a bound broken `patience` updates in a row."""
        for name, value in logged.items():
            if not math.isfinite(value):
                raise Unhealthy(f"step {step}: wanted finite terms, found {name} {value}")
        if self.health.critic_lag is not None and "critic" in logged:
            self._count("critic_lag", step, critic_lag(logged, self.health.critic_lag))
        if self.health.variance is not None:
            self._count("variance", step, variance_ratio(logged, *self.health.variance))

    def _count(self, bound: str, step: int, problem: str | None) -> None:
        self.streaks[bound] = 0 if problem is None else self.streaks[bound] + 1
        if problem is not None and self.streaks[bound] >= self.health.patience:
            raise Unhealthy(f"step {step}: {problem}, {self.streaks[bound]} updates in a row (method.health.{bound})")
