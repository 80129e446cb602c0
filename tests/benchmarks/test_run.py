"""Every benchmark still runs; what it measures is for `make bench`."""

import subprocess
import sys
from importlib import import_module

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("name", ["attention", "checkpoint_stall", "pairs_overhead", "rollout_cache", "training_step"])
def test_a_benchmark_runs(name: str) -> None:
    assert import_module(f"benchmarks.{name}").measure(pairs=1).ratio > 0


@pytest.mark.slow
def test_a_benchmark_of_the_store_runs() -> None:
    measured = "all(one.ratio > 0 for one in measure(pairs=1, size=1 << 20))"
    program = f"from benchmarks.s3_transfer import measure; assert {measured}"  # it sets variables of its process
    subprocess.run([sys.executable, "-c", program], check=True)
