"""Bounds that stop a run with a diagnosis."""

import math
from collections.abc import Mapping

import pytest

from fastgen_k8s.errors import Unhealthy
from fastgen_k8s.experiments.method import Health
from fastgen_k8s.methods.health import Bounds

LAG, VARIANCE = Health(critic_lag=1.5, patience=1), Health(variance=(0.5, 2), patience=1)


@pytest.mark.parametrize(
    ("health", "logged", "message"),
    [
        (LAG, {"critic": 1.6, "teacher": 1.0}, r"critic lag: wanted .* at most 1\.5 .* found 1\.6 times"),
        (VARIANCE, {"variance/exit3/chunk1": 0.4}, r"variance ratio: wanted 0\.5 to 2 .* found 0\.4 at exit3, chunk1"),
        (VARIANCE, {"variance/exit3/chunk1": 2.1}, r"found 2\.1 at exit3, chunk1"),
        (VARIANCE, {"variance/exit0/chunk0": 1.0, "variance/real/chunk0": 4.0}, r"found 0\.25 at exit0, chunk0"),
        (Health(), {"critic": math.nan}, "wanted finite terms, found critic nan"),
        (Health(), {"matching": math.inf}, "wanted finite terms, found matching inf"),
    ],
)
def test_a_broken_bound_is_named_with_what_was_found(health: Health, logged: Mapping[str, float], message: str) -> None:
    with pytest.raises(Unhealthy, match=f"step 7: .*{message}"):
        Bounds(health).check(7, logged)


@pytest.mark.parametrize(
    ("health", "logged"),
    [
        (LAG, {"critic": 1.4, "teacher": 1.0}),
        (LAG, {"matching": 9.0}),
        (VARIANCE, {"variance/exit3/chunk1": 0.6, "variance/exit3/chunk2": 1.9}),
        (VARIANCE, {"variance/exit0/chunk0": 3.0, "variance/real/chunk0": 4.0}),
        (Health(), {"critic": 1e9, "teacher": 1.0, "variance/exit0/chunk0": 1e9}),
    ],
)
def test_a_step_within_its_bounds_passes(health: Health, logged: Mapping[str, float]) -> None:
    Bounds(health).check(7, logged)


def test_a_bound_broken_fewer_times_in_a_row_than_the_patience_passes() -> None:
    bounds = Bounds(Health(variance=(0.5, 2), patience=3))
    for value in (9.0, 9.0, 1.0, 9.0, 9.0):
        bounds.check(1, {"variance/exit3/chunk0": value})
    with pytest.raises(Unhealthy, match="3 updates in a row"):
        bounds.check(1, {"variance/exit3/chunk0": 9.0})


def test_steps_of_the_student_do_not_interrupt_a_row_of_the_critic() -> None:
    bounds = Bounds(Health(critic_lag=1.5, patience=2))
    bounds.check(1, {"critic": 2.0, "teacher": 1.0})
    bounds.check(2, {"matching": 1.0})
    with pytest.raises(Unhealthy, match="critic lag"):
        bounds.check(3, {"critic": 2.0, "teacher": 1.0})
