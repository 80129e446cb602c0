"""Two agents of one job, asked to stop: one by one, and both at once."""

import re
from pathlib import Path

import pytest

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.training.checkpoint import committed
from tests.processes.agents import Agent, two, wait_until
from tests.processes.runs import Run

pytestmark = [pytest.mark.processes, pytest.mark.slow]


def long(stage_2: Run, output: Path) -> Run:
    """A training that does not end by itself."""
    return stage_2.to(output, settings=(*stage_2.settings, "train.steps=100000"), save_every=100000)


def trains_together(*agents: Agent) -> bool:
    """Whether the newest group is one of both and has made some steps."""
    return any(agent.groups() and agent.groups()[-1][0] == 2 and _steps_since(agent) > 3 for agent in agents)


def trains_alone(agent: Agent) -> bool:
    """Whether the agent's newest group is its own and has made some steps."""
    return bool(agent.groups()) and agent.groups()[-1][0] == 1 and _steps_since(agent) > 3


def _steps_since(agent: Agent) -> int:
    return len(re.findall(r" step=\d+ ", agent.said.rpartition("training ")[2]))


def ranks_that_wrote(run: Run, step: int) -> int:
    """How many processes wrote a committed checkpoint."""
    files = committed(store_at(str(run.output)), step).files
    return len({name.rpartition("/")[2] for name in files if name.endswith(".distcp")})


@pytest.mark.parametrize("leaver", ["host", "guest"])
def test_one_leaves_and_the_other_trains_on_alone(stage_2: Run, leaver: str, tmp_path: Path) -> None:
    run = long(stage_2, tmp_path / "run")
    host, guest = two(run.argv(), tmp_path)
    leaves, stays = (host, guest) if leaver == "host" else (guest, host)
    wait_until(lambda: trains_together(host, guest), host, guest)
    leaves.ask()
    assert leaves.wait() == 75
    wait_until(lambda: trains_alone(stays), stays)
    saved = stays.groups()[-1][1]
    last_together = int(re.findall(r" step=(\d+) ", host.said + guest.said)[0])
    stays.ask()
    assert stays.wait() == 75
    assert last_together <= saved
    assert ranks_that_wrote(run, saved) == 2


def test_both_leave_with_one_checkpoint(stage_2: Run, tmp_path: Path) -> None:
    run = long(stage_2, tmp_path / "run")
    host, guest = two(run.argv(), tmp_path)
    wait_until(lambda: trains_together(host, guest), host, guest)
    host.ask()
    guest.ask()
    assert (host.wait(), guest.wait()) == (75, 75)
    assert [ranks_that_wrote(run, step) for step in run.steps_committed()[-1:]] == [2]
