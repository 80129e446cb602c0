"""The exit codes of an agent, seen from outside: each row of the table, and no restart for the permanent ones."""

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastgen_k8s.artifacts.progress import read_progress
from tests.processes.agents import Agent, address_space, start, wait_until
from tests.processes.runs import Run

pytestmark = pytest.mark.processes

LONG = "train.steps=100000"
IMPORTS = ("fastgen_k8s.stages.train", "diffusers.models.transformers.transformer_wan")
ROOM = 1 << 30  # bytes of address space above what the imports take, which differs by gigabytes between builds of torch


def _kill_workers_until_it_gives_up(agent: Agent) -> None:
    killed: set[int] = set()
    while agent.process.poll() is None:
        fresh = set(agent.workers()) - killed
        if len(agent.groups()) > len(killed) and fresh:
            for pid in fresh:
                os.kill(pid, signal.SIGKILL)
            killed |= fresh
        time.sleep(0.02)


def _ask_once_it_trains(agent: Agent) -> None:
    wait_until(lambda: "step=5 " in agent.said, agent)
    agent.ask()


def _ask_its_group_once_it_trains(agent: Agent) -> None:
    wait_until(lambda: "step=5 " in agent.said, agent)
    agent.ask_group()


def _leave_alone(agent: Agent) -> None:
    """Nothing is done to it."""


def _unlimited() -> dict[int, int]:
    return {}


def _a_little_room() -> dict[int, int]:
    return {resource.RLIMIT_AS: address_space(*IMPORTS) + ROOM}


def _small_files() -> dict[int, int]:
    return {resource.RLIMIT_FSIZE: 50_000}


Limits = Callable[[], dict[int, int]]
CASES: dict[str, tuple[tuple[str, ...], dict[str, str], Limits, Callable[[Agent], None]]] = {
    "described wrongly": (("train.stepz=3",), {}, _unlimited, _leave_alone),
    "more processes than samples": ((), {"PET_NPROC_PER_NODE": "6"}, _unlimited, _leave_alone),
    "pairs of other times": (("model.t_list=[0.999, 0.5, 0]",), {}, _unlimited, _leave_alone),
    "not finite": (("optimisation.student.lr=1e30",), {}, _unlimited, _leave_alone),
    "out of memory": (("train.global_batch=100000000",), {}, _a_little_room, _leave_alone),
    "no room": ((), {}, _small_files, _leave_alone),
    "asked to stop": ((LONG,), {}, _unlimited, _ask_once_it_trains),
    "asked with its group": ((LONG,), {}, _unlimited, _ask_its_group_once_it_trains),
    "killed again and again": ((LONG,), {}, _unlimited, _kill_workers_until_it_gives_up),
    "done": (("train.steps=2",), {}, _unlimited, _leave_alone),
}


@pytest.fixture(scope="module")
def agents(stage_2: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Agent]]:
    """Every case, ended; they are started together, for most of their time goes into imports."""
    root = tmp_path_factory.mktemp("codes")
    running: dict[str, Agent] = {}
    for name, (settings, environment, limits, _) in CASES.items():
        run = stage_2.to(root / name / "run", settings=(*stage_2.settings, *settings))
        running[name] = start(run.argv(), root / name / "agent", limits=limits(), **environment)
    for name, agent in running.items():
        CASES[name][3](agent)
        agent.wait()
    yield running


@pytest.mark.parametrize(
    ("case", "code", "words"),
    [
        ("described wrongly", 64, "error: unknown setting 'train.stepz': did you mean 'steps'?"),
        (
            "more processes than samples",
            64,
            "error: closed_form/gaussian_kd: wanted at most train.global_batch = 5 processes, found 6",
        ),
        ("pairs of other times", 65, "error: t_list time 0.5 is not in the pairs"),
        ("not finite", 70, "error: step 2: wanted a finite loss, found total = "),
        ("out of memory", 71, "error: out of memory"),
        ("no room", 74, "error: "),
        ("asked to stop", 75, "stopped: asked to stop: the checkpoint of step "),
        ("asked with its group", 75, "stopped: asked to stop: the checkpoint of step "),
        ("killed again and again", 128 + signal.SIGKILL, "error: killed by SIGKILL"),
    ],
)
def test_an_agent_ends_with_a_code_and_one_line(agents: dict[str, Agent], case: str, code: int, words: str) -> None:
    agent = agents[case]
    assert (agent.process.returncode, [line[: len(words)] for line in agent.errors]) == (code, [words]), agent.errors


def test_a_finished_agent_ends_with_0_and_says_nothing(agents: dict[str, Agent]) -> None:
    assert (agents["done"].process.returncode, agents["done"].errors) == (0, [])


@pytest.mark.parametrize("case", ["not finite", "out of memory", "no room"])
def test_permanent_errors_are_not_tried_again(agents: dict[str, Agent], case: str) -> None:
    assert "starting the workers again" not in agents[case].said


def test_a_crash_is_tried_again_three_times(agents: dict[str, Agent]) -> None:
    assert agents["killed again and again"].said.count("starting the workers again") == 3


def test_an_agent_that_was_asked_to_stop_has_saved_its_last_step(agents: dict[str, Agent]) -> None:
    agent = agents["asked to stop"]
    saved = max(int(path.stem.split("-")[1]) for path in agent.folder.parent.glob("run/checkpoints/step-*.json"))
    assert agent.errors == [f"stopped: asked to stop: the checkpoint of step {saved} of 100000 is written"]
    assert read_progress(str(agent.folder.parent / "run")).checkpoint == saved


def test_what_is_committed_already_is_not_done_again(agents: dict[str, Agent], stage_2: Run, tmp_path: Path) -> None:
    done = agents["done"].folder.parent / "run"
    run = stage_2.to(done, settings=(*stage_2.settings, "train.steps=2"))
    again = start(run.argv(), tmp_path / "again")
    assert (again.wait(), again.said) == (0, "")


def test_an_agent_can_be_asked_to_stop_from_its_first_moment_on(stage_2: Run, tmp_path: Path) -> None:
    agent = start(stage_2.to(tmp_path / "run").argv(), tmp_path / "agent")
    wait_until(lambda: _hears_of_sigterm(agent.process.pid), agent)
    agent.ask()
    assert (agent.wait(), [line[:25] for line in agent.errors]) == (75, ["stopped: asked to stop by "[:25]])


def _hears_of_sigterm(pid: int) -> bool:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(status["SigCgt"], 16) >> (signal.SIGTERM - 1) & 1)


def test_an_output_of_another_digest_is_refused(agents: dict[str, Agent], stage_2: Run, tmp_path: Path) -> None:
    done = agents["done"].folder.parent / "run"
    run = stage_2.to(done, settings=(*stage_2.settings, "train.steps=3"))
    other = start(run.argv(), tmp_path / "other")
    assert (other.wait(), f"{done}: wanted the place of training" in other.errors[0]) == (65, True)
