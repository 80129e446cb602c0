"""Every benchmark still runs; what it measures is for `make bench`."""

from importlib import import_module

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("name", ["attention", "checkpoint_stall", "pairs_overhead", "rollout_cache", "training_step"])
def test_a_benchmark_runs(name: str) -> None:
    assert import_module(f"benchmarks.{name}").measure(pairs=1).ratio > 0
