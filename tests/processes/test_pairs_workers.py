"""Workers of stage 1 come and go, and are killed; the files are the same to the bit."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from fastgen_k8s.pipeline.work import Work
from tests.conftest import run_stage
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


RING = 256  # blocks


@pytest.mark.soak
@pytest.mark.parametrize("workers", [2, 4, 10])
def test_workers_that_share_a_ring_make_few_blocks_twice(tmp_path: Path, workers: int) -> None:
    (tmp_path / "prompts.txt").write_text("moving right\nmoving left\n")
    run_stage("encode", "closed_form/ring_kd", tmp_path / "conditions", prompts=tmp_path / "prompts.txt")
    this = Work(
        kind="pairs",
        experiment="closed_form/ring_kd",
        overrides=("pairs.samples_per_prompt=256", "pairs.block_size=2"),
        inputs={"conditions": str(tmp_path / "conditions")},
        output=str(tmp_path / "pairs"),
    )
    with ExitStack() as stack:
        started = [stack.enter_context(worker(this.argv(), {"OMP_NUM_THREADS": "1"})) for _ in range(workers)]
        ends = [one.end() for one in started]
    assert [code for code, _ in ends] == [0] * workers
    written = sum(said.count("block written") for _, said in ends)
    assert RING <= written <= 1.3 * RING
    print(f"{workers} workers wrote {written} blocks for {RING}")
