"""Workers of stage 1 come and go, and are killed; the files are the same to the bit."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from fastgen_k8s.pipeline.work import Work
from tests.processes.warm import worker

pytestmark = [pytest.mark.processes, pytest.mark.slow]

BLOCKS = 12


def work(conditions: Path, output: Path) -> Work:
    return Work(
        kind="pairs",
        experiment="closed_form/gaussian_kd",
        overrides=("pairs.samples_per_prompt=23", "pairs.block_size=4"),  # 46 samples: the last block is padded
        inputs={"conditions": str(conditions)},
        output=str(output),
    )


def contents(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, gaussian_conditions: Path) -> dict[str, bytes]:
    """What one undisturbed worker makes."""
    place = tmp_path_factory.mktemp("alone") / "pairs"
    with worker(work(gaussian_conditions, place).argv()) as only:
        assert only.end()[0] == 0
    assert len(list((place / "blocks").iterdir())) == BLOCKS
    return contents(place)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_killed_and_repeated_the_files_are_those_of_one_undisturbed_worker(
    tmp_path: Path, gaussian_conditions: Path, alone: dict[str, bytes], workers: int
) -> None:
    this = work(gaussian_conditions, tmp_path / "pairs")
    with ExitStack() as stack:
        started = [stack.enter_context(worker(this.argv())) for _ in range(workers)]
        started[0].await_line("block written")
        started[0].process.kill()
        assert [other.end()[0] for other in started[1:]] == [0] * (workers - 1)
    assert (tmp_path / "pairs/artifact.json").exists() == (workers > 1)
    with worker(this.argv()) as again:
        assert again.end()[0] == 0
    assert contents(tmp_path / "pairs") == alone
