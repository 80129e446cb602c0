"""Task B, blobs on a ring: not Gaussian, with real guidance. Seeds as for task A."""

from functools import lru_cache

import pytest

from examples.closed_form.ring import measure
from tests.learning.students import Weights, distil, experiment, pairs, rollouts

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ring"), pytest.mark.timeout(3600)]
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 5))]
CLIPS = 4096


@lru_cache
def kd(seed: int) -> Weights:
    """CausalKD on a guided teacher's pairs."""
    its = experiment("closed_form/ring_kd", seed)
    return distil(its, pairs(its))


@lru_cache
def figures(name: str, seed: int) -> dict[str, float]:
    """The metrics of a student's rollouts; `name` is of the experiment that trains it."""
    its = experiment(f"closed_form/{name}", seed)
    weights = {
        "ring_kd": lambda: kd(seed),
        "ring_sf": lambda: distil(its, None, kd(seed)),
        "ring_sf_gan": lambda: distil(its, pairs(its), kd(seed)),
    }[name]()
    found = measure(its, *rollouts(its, weights, CLIPS))
    print(f"{name}, seed {seed}: " + ", ".join(f"{what} {value:.4f}" for what, value in found.items()))
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_causal_kd_draws_bumps(seed: int) -> None:
    assert figures("ring_kd", seed)["mse"] <= 0.2


@pytest.mark.parametrize("seed", SEEDS)
def test_causal_kd_follows_the_prompt(seed: int) -> None:
    assert figures("ring_kd", seed)["prompt_accuracy"] >= 0.98


@pytest.mark.parametrize("seed", SEEDS)
def test_causal_kd_keeps_the_modes(seed: int) -> None:
    assert figures("ring_kd", seed)["modes"] >= 50


@pytest.mark.parametrize("seed", SEEDS)
def test_self_forcing_sharpens(seed: int) -> None:
    assert figures("ring_sf", seed)["mse"] <= 0.9 * figures("ring_kd", seed)["mse"]


@pytest.mark.parametrize("seed", SEEDS)
def test_self_forcing_follows_the_prompt(seed: int) -> None:
    assert figures("ring_sf", seed)["prompt_accuracy"] >= 0.99


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5))
def test_the_gan_term_costs_no_quality(seed: int) -> None:
    """Modes are reported: Self-Forcing from random exits keeps them, and there is nothing to bring back."""
    assert figures("ring_sf_gan", seed)["mse"] <= 1.05 * figures("ring_sf", seed)["mse"]
