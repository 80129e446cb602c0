"""The same training on one, two and three processes."""

from pathlib import Path

import pytest
import torch

from tests.processes.runs import Run, largest_difference

pytestmark = pytest.mark.processes


@pytest.fixture(params=["stage_2", "teacher_forcing", "stage_3"])
def training(request: pytest.FixtureRequest) -> Run:
    """Either stage, and the one that trains through its cache."""
    run = request.getfixturevalue(request.param)
    assert isinstance(run, Run)
    return run


def test_losses_do_not_depend_on_the_number_of_processes(training: Run, tmp_path: Path) -> None:
    alone = training.to(tmp_path / "alone")
    assert alone.finish().code == 0
    for processes, micro_batch in ((2, None), (3, 1)):
        together = training.to(tmp_path / f"{processes}", processes=processes, micro_batch=micro_batch)
        assert together.finish().code == 0
        assert largest_difference(alone.losses(), together.losses()) < 1e-6


def test_bfloat16_computes_with_master_weights_in_float32(training: Run, tmp_path: Path) -> None:
    exact = training.to(tmp_path / "exact", settings=(*training.settings, "train.steps=3"))
    assert exact.finish().code == 0
    for processes in (1, 2):
        settings = (*exact.settings, "train.precision=bfloat16")
        rough = exact.to(tmp_path / f"{processes}", settings=settings, processes=processes)
        assert rough.finish().code == 0
        assert {weight.dtype for weight in rough.weights().values()} == {torch.float32}
        assert 0 < largest_difference(exact.losses(), rough.losses()) < 0.02
