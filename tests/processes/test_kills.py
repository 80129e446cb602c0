"""Runs whose workers are killed at random moments and started again: the same bits as an undisturbed run."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fastgen_k8s.errors import LOST
from tests.processes.runs import Run, ended, equal_bits, kill_one, largest_difference, wait_until

pytestmark = pytest.mark.processes

KILLS = {"stage_2": 12, "stage_3": 8}  # the soak makes ten times as many


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


@pytest.fixture(params=[("stage_2", 1), ("stage_3", 2)], ids=["stage_2 alone", "stage_3 on two processes"])
def case(request: pytest.FixtureRequest) -> tuple[Run, int]:
    """A training on some processes, and how often it is killed."""
    stage, processes = request.param
    run: Run = request.getfixturevalue(stage)
    return run.to(run.output, processes=processes, save_every=2), KILLS[stage]


def test_killed_runs_end_with_the_bits_of_an_undisturbed_run(case: tuple[Run, int], tmp_path: Path) -> None:
    training, kills = case
    assert _killed_and_not(training, kills, tmp_path) > 0, "no kill fell into a save: the test has not tried that"


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_two_hundred_killed_runs_end_with_the_bits_of_an_undisturbed_run(case: tuple[Run, int], tmp_path: Path) -> None:
    training, kills = case
    assert _killed_and_not(training, 10 * kills, tmp_path) > 0


def _killed_and_not(training: Run, kills: int, root: Path) -> int:
    """Compare a killed run with an undisturbed one; how many kills fell into a save."""
    length = f"train.steps={2 * 3 * kills + 6}"  # each kill may let two saves pass
    undisturbed = training.to(root / "undisturbed", settings=(*training.settings, length))
    killed = undisturbed.to(root / "killed")
    assert undisturbed.finish().code == 0
    during_saves = finish_despite_kills(killed, kills, seed=kills)
    assert killed.losses() == undisturbed.losses()
    assert equal_bits(killed.weights(), undisturbed.weights())
    return during_saves


def test_the_peers_of_a_killed_worker_say_that_they_lost_one(stage_2: Run, tmp_path: Path) -> None:
    run = stage_2.to(tmp_path / "run", processes=2, settings=(*stage_2.settings, "train.steps=100000"))
    crew = run.start()
    assert wait_until(lambda: bool(run.steps_committed()), crew)
    kill_one(crew, random.Random(0))
    ended(crew)
    assert sorted(worker.process.exitcode or 0 for worker in crew.workers) == [-signal.SIGKILL, LOST]


@pytest.mark.slow
def test_a_silent_worker_is_given_up_after_the_collective_timeout(stage_2: Run, tmp_path: Path) -> None:
    long = (*stage_2.settings, "train.steps=100000")
    # No checkpoint: who waits for a peer's files waits longer.
    run = stage_2.to(tmp_path / "run", processes=2, settings=long, collective_timeout=2, save_every=0)
    crew = run.start()
    assert wait_until(lambda: bool(run.losses()), crew)
    silent = crew.workers[1].process
    assert silent.pid is not None
    os.kill(silent.pid, signal.SIGSTOP)
    ended(crew)
    assert [worker.process.exitcode for worker in crew.workers] == [LOST, -signal.SIGKILL]


def test_a_run_goes_on_on_one_and_then_three_processes(stage_3: Run, tmp_path: Path) -> None:
    undisturbed, moved = stage_3.to(tmp_path / "undisturbed", processes=2), stage_3.to(tmp_path / "moved")
    assert undisturbed.finish().code == 0
    for processes, saves in ((2, 1), (1, 2)):
        crew = moved.to(moved.output, processes=processes).start()
        assert wait_until(lambda saves=saves: len(moved.steps_committed()) >= saves, crew)
        kill_one(crew, random.Random(0))
        ended(crew)
    assert moved.to(moved.output, processes=3).finish().code == 0
    assert largest_difference(undisturbed.losses(), moved.losses()) < 1e-6
