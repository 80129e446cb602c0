"""The place where agents meet, in a process of its own: what its end and its loss mean."""

from pathlib import Path

import pytest

from fastgen_k8s.artifacts import begin
from fastgen_k8s.stages.stage import resolve
from tests.processes.agents import Agent, free_port, rendezvous, shared, start, wait_until
from tests.processes.runs import Run
from tests.processes.test_stop import long, trains

pytestmark = [pytest.mark.processes, pytest.mark.slow]


def test_it_ends_as_stopped_when_asked_because_what_succeeds_is_not_started_again(tmp_path: Path) -> None:
    store = rendezvous(free_port(), tmp_path / "store")
    store.ask()
    assert store.wait() == 75


def test_it_ends_well_when_the_work_is_published(stage_2: Run, tmp_path: Path) -> None:
    argv = stage_2.to(tmp_path / "output").argv()
    store = rendezvous(free_port(), tmp_path / "store", "--until", *argv)
    resolve(argv).begin().commit({})
    assert store.wait() == 0


def test_it_refuses_a_place_that_belongs_to_another_work(stage_2: Run, tmp_path: Path) -> None:
    begin(str(tmp_path / "output"), "training", "a" * 64, {}).commit({})
    argv = stage_2.to(tmp_path / "output").argv()
    store = rendezvous(free_port(), tmp_path / "store", "--until", *argv)
    assert store.wait() == 65


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    port = free_port()
    store = rendezvous(port, tmp_path / "store")
    second = start(["--port", str(port)], tmp_path / "second", module="fastgen_k8s.rendezvous", limits={})
    assert second.wait() == 74
    assert [line for line in second.errors if line.startswith("error: ")] == second.errors
    store.ask()
    store.wait()


def steps_together(*agents: Agent) -> int:
    """How many steps two processes have made."""
    return sum(len(group.steps) for agent in agents for group in agent.groups() if group.processes == 2)


def test_its_loss_stops_nobody_and_all_meet_anew_when_it_is_back(stage_2: Run, tmp_path: Path) -> None:
    run, port = long(stage_2, tmp_path / "run"), free_port()
    store = rendezvous(port, tmp_path / "store")
    agents = [start(run.argv(), tmp_path / name, limits={}, **shared(port, is_host=False)) for name in ("a", "b")]
    wait_until(lambda: trains(2, *agents), *agents)
    store.kill()
    wait_until(lambda: any("the rendezvous is lost" in agent.said for agent in agents), *agents)
    met = sum(len(agent.groups()) for agent in agents)  # where one came late, the other had begun alone
    seen = steps_together(*agents)
    wait_until(lambda: steps_together(*agents) > seen + 3, *agents)
    again = rendezvous(port, tmp_path / "again")
    wait_until(lambda: sum(len(agent.groups()) for agent in agents) > met and trains(2, *agents), *agents)
    groups = [group for agent in agents for group in agent.groups()]
    for agent in agents:
        agent.ask()
    assert [agent.wait() for agent in agents] == [75, 75]
    newest = max(groups, key=lambda group: group.after)
    assert (newest.processes, newest.after > 0) == (2, True)  # both, from a checkpoint: nobody trains apart
    again.ask()
    again.wait()
