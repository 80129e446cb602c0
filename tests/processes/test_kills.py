"""Runs whose workers are killed at random moments and started again: the same bits as an undisturbed run."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes.runs import Run, ended, equal_bits, kill_one, largest_difference, wait_until

pytestmark = pytest.mark.processes

KILLS = 10  # of each stage; the soak makes ten times as many
ACROSS = 1e-6


def finish_despite_kills(run: Run, kills: int, seed: int) -> int:
    """Run to the end, killing a worker so many times on the way; how often that was in the middle of a save."""
    chance, during_saves = random.Random(seed), 0
    for _ in range(kills):
        crew = run.start()
        moment, delay = _moment(run, chance)
        assert wait_until(moment, crew), "the run ended before its last kill: it has too few steps"
        time.sleep(delay)
        kill_one(crew, chance)
        ended(crew)
        during_saves += any(_is_unfinished(run, folder) for folder in run.folders())
    assert run.finish().code == 0
    return during_saves


def _moment(run: Run, chance: random.Random) -> tuple[Callable[[], bool], float]:
    """When to kill: shortly after a save has begun, or some time after one has ended."""
    if chance.random() < 0.5:
        known = run.folders()
        return (lambda: bool(run.folders() - known)), chance.uniform(0, 0.03)
    before = run.steps_committed()
    return (lambda: run.steps_committed() != before), chance.uniform(0, 0.2)


def _is_unfinished(run: Run, folder: Path) -> bool:
    return int(folder.name) not in run.steps_committed()


def steps(run: Run, kills: int, output: Path) -> Run:
    """The same training, long enough for so many kills: each may let two saves pass."""
    length = f"train.steps={2 * 3 * kills + 6}"
    return run.to(output, settings=(*run.settings, length), save_every=2)


@pytest.mark.parametrize(("stage", "processes"), [("stage_2", 1), ("stage_3", 2)])
def test_killed_runs_end_with_the_bits_of_an_undisturbed_run(
    stage: str, processes: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    training: Run = request.getfixturevalue(stage)
    undisturbed = steps(training, KILLS, tmp_path / "undisturbed").to(tmp_path / "undisturbed", processes=processes)
    killed = undisturbed.to(tmp_path / "killed")
    assert undisturbed.finish().code == 0
    during_saves = finish_despite_kills(killed, KILLS, seed=processes)
    assert killed.losses() == undisturbed.losses()
    assert equal_bits(killed.weights(), undisturbed.weights())
    assert during_saves > 0  # or the test has not tried what it is for


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("stage", "processes"), [("stage_2", 1), ("stage_3", 2)])
def test_two_hundred_kills(stage: str, processes: int, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    training: Run = request.getfixturevalue(stage)
    undisturbed = steps(training, 10 * KILLS, tmp_path / "undisturbed").to(tmp_path / "whole", processes=processes)
    killed = undisturbed.to(tmp_path / "killed")
    assert undisturbed.finish().code == 0
    finish_despite_kills(killed, 10 * KILLS, seed=10 + processes)
    assert killed.losses() == undisturbed.losses()
    assert equal_bits(killed.weights(), undisturbed.weights())


def test_a_run_goes_on_on_one_and_then_three_processes(stage_3: Run, tmp_path: Path) -> None:
    undisturbed, moved = stage_3.to(tmp_path / "undisturbed", processes=2), stage_3.to(tmp_path / "moved")
    assert undisturbed.finish().code == 0
    for processes, saves in ((2, 1), (1, 2)):
        crew = moved.to(moved.output, processes=processes).start()
        assert wait_until(lambda saves=saves: len(moved.steps_committed()) >= saves, crew)
        kill_one(crew, random.Random(0))
        ended(crew)
    assert moved.to(moved.output, processes=3).finish().code == 0
    assert largest_difference(undisturbed.losses(), moved.losses()) < ACROSS
