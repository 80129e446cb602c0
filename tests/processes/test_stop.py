"""Two agents of one job: one is asked to stop, or lost; both are asked at once."""

from pathlib import Path

import pytest

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.training.committed import committed
from tests.processes.agents import Agent, two, wait_until
from tests.processes.runs import Run

pytestmark = [pytest.mark.processes, pytest.mark.slow]


def long(stage_2: Run, output: Path) -> Run:
    """A training that does not end by itself, and saves when asked only."""
    return stage_2.to(output, settings=(*stage_2.settings, "train.steps=100000"), save_every=100000)


def trains(processes: int, *agents: Agent) -> bool:
    """Whether a group of so many processes has made some steps, and is the newest one of its agent."""
    newest = [agent.groups()[-1] for agent in agents if agent.groups()]
    return any(group.processes == processes and len(group.steps) > 3 for group in newest)


def ranks_that_wrote(run: Run, step: int) -> int:
    """How many processes wrote a committed checkpoint."""
    files = committed(store_at(str(run.output)), step).files
    return len({name.rpartition("/")[2] for name in files if name.endswith(".distcp")})


@pytest.mark.parametrize("leaver", ["host", "guest"])
def test_one_leaves_and_the_other_trains_on_alone(stage_2: Run, leaver: str, tmp_path: Path) -> None:
    run = long(stage_2, tmp_path / "run")
    host, guest = two(run.argv(), tmp_path)
    leaves, stays = (host, guest) if leaver == "host" else (guest, host)
    wait_until(lambda: trains(2, host, guest), host, guest)
    leaves.ask()
    assert leaves.wait() == 75
    wait_until(lambda: trains(1, stays), stays)
    stays.ask()
    assert stays.wait() == 75
    together = [group for agent in (host, guest) for group in agent.groups() if group.processes == 2][-1]
    alone = stays.groups()[-1]
    assert (alone.after, alone.steps[0]) == (together.steps[-1], together.steps[-1] + 1)  # no finished step is lost
    assert ranks_that_wrote(run, alone.after) == 2


def test_a_lost_node_leaves_the_other_training_from_the_last_checkpoint(stage_2: Run, tmp_path: Path) -> None:
    run = long(stage_2, tmp_path / "run").to(tmp_path / "run", save_every=5)
    host, guest = two(run.argv(), tmp_path)
    wait_until(lambda: trains(2, host, guest), host, guest)
    guest.kill()
    wait_until(lambda: trains(1, host), host)
    host.ask()
    assert host.wait() == 75
    together, alone = host.groups()[-2:]
    assert (together.processes, alone.processes) == (2, 1)
    assert together.steps[-1] - alone.after < 2 * 5  # steps since the last checkpoint, which may have been under way
    assert "crashes=0" in host.said.rpartition("starting the workers again")[2]


def test_both_leave_with_one_checkpoint(stage_2: Run, tmp_path: Path) -> None:
    run = long(stage_2, tmp_path / "run")
    host, guest = two(run.argv(), tmp_path)
    wait_until(lambda: trains(2, host, guest), host, guest)
    host.ask()
    guest.ask()
    assert (host.wait(), guest.wait()) == (75, 75)
    together = [group for agent in (host, guest) for group in agent.groups() if group.processes == 2][-1]
    assert run.steps_committed()[-1] == together.steps[-1]
    assert ranks_that_wrote(run, together.steps[-1]) == 2
