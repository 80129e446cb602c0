# pyright: basic
"""Sharded over two processes, a network computes what it computes alone: parallel, rollout and features."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch.multiprocessing.spawn import spawn

from fastgen_k8s.training.parallel import IO_TIMEOUT, join
from tests.networks import sharded, tiny

CASES = [
    f"{make.__name__}, {name}, {{}}, {again}"
    for make in tiny.FAMILIES
    for name in sharded.WORKS
    for again in ("kept", "recomputed")
]


@pytest.fixture(scope="module")
def differences(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    folder: Path = tmp_path_factory.mktemp("sharded")
    spawn(sharded.main, (2, folder), nprocs=2)
    return json.loads((folder / "differences.json").read_text())


def test_files_may_take_longer_than_a_peer_may_be_silent() -> None:
    with join(torch.device("cpu"), "float32", 60) as world:
        assert world.background is not None
        backend = world.background._get_backend(world.device)
    assert backend.options._timeout == IO_TIMEOUT > timedelta(seconds=60)


@pytest.mark.processes
@pytest.mark.parametrize("case", CASES)
def test_two_processes_have_the_gradients_of_one(differences: dict[str, float], case: str) -> None:
    assert differences[case.format("float32")] <= 1e-6


@pytest.mark.processes
@pytest.mark.parametrize("case", CASES)
def test_bfloat16_computes_the_same_gradients_roughly(differences: dict[str, float], case: str) -> None:
    assert 0 < differences[case.format("bfloat16")] <= 0.05
