"""The same training on one, two and three processes."""

from pathlib import Path

import pytest

from tests.processes.runs import Run, largest_difference

pytestmark = pytest.mark.processes


@pytest.fixture(params=["stage_2", "stage_3"])
def training(request: pytest.FixtureRequest) -> Run:
    """Either stage."""
    run = request.getfixturevalue(request.param)
    assert isinstance(run, Run)
    return run


@pytest.mark.parametrize(("processes", "micro_batch"), [(2, None), (3, 1)])
def test_losses_do_not_depend_on_the_number_of_processes(
    training: Run, processes: int, micro_batch: int | None, tmp_path: Path
) -> None:
    alone = training.to(tmp_path / "alone")
    together = training.to(tmp_path / "together", processes=processes, micro_batch=micro_batch)
    assert (alone.finish().code, together.finish().code) == (0, 0)
    assert largest_difference(alone.losses(), together.losses()) < 1e-6
