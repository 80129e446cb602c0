"""How a crew of workers ended, as its root worker did."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fastgen_k8s.agent.crew import may_preload, oom_kills, root
from fastgen_k8s.agent.worker import End
from fastgen_k8s.errors import LOST

KILLED = -signal.SIGKILL


@pytest.mark.parametrize(
    ("codes", "wanted"),
    [
        ([0, 0], 0),
        ([0, 75], 75),
        ([75, LOST], LOST),
        ([LOST, KILLED], KILLED),
        ([LOST, 1], 1),
        ([1, 74], 74),
        ([KILLED, 70, LOST], 70),
        ([74, 65], 65),
        ([LOST, 75, 0], LOST),
    ],
)
def test_the_root_explains_the_others(codes: list[int], wanted: int) -> None:
    assert root([End(code) for code in codes], out_of_memory=False).code == wanted


@pytest.mark.parametrize(("codes", "wanted"), [([KILLED, LOST], 71), ([1, LOST], 1), ([0, 0], 0)])
def test_a_worker_killed_while_memory_ran_out_is_out_of_memory(codes: list[int], wanted: int) -> None:
    assert root([End(code) for code in codes], out_of_memory=True).code == wanted


def test_the_first_of_equals_is_the_root() -> None:
    assert root([End(1, "first"), End(1, "second")], out_of_memory=False).words == "first"


@pytest.mark.parametrize(
    ("name", "text", "own", "wanted"),
    [
        ("memory.events", "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0\n", "0::/\n", 2),
        ("pod/me/memory.events", "oom_kill 3\n", "0::/pod/me\n", 3),
        ("memory.events", "oom_kill 4\n", "0::/seen/from/the/host\n", 4),
        ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n", "4:memory:/docker/7\n0::/\n", 5),
        ("memory/me/memory.oom_control", "oom_kill 6\n", "4:memory:/me\n0::/\n", 6),
        ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n", "", 0),
        ("elsewhere", "", "0::/\n", 0),
    ],
)
def test_kills_for_memory_are_counted_by_the_cgroup(
    tmp_path: Path, name: str, text: str, own: str, wanted: int
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
    (tmp_path / name).write_text(text)
    (tmp_path / "own").write_text(own)
    assert oom_kills(tmp_path, tmp_path / "own") == wanted


def test_a_stage_is_imported_once_for_all_workers_where_there_is_no_accelerator(tmp_path: Path) -> None:
    device = tmp_path / "nvidiactl"
    assert may_preload([device])
    device.touch()
    assert not may_preload([tmp_path / "kfd", device])


FORK = """
from multiprocessing import get_context
from fastgen_k8s.agent.crew import Crew
Crew([], preload={})
forked = get_context("forkserver").Process(target=exec, args=("import sys; sys.exit('diffusers' in sys.modules)",))
forked.start()
forked.join()
print(forked.exitcode)
"""


@pytest.mark.processes
@pytest.mark.parametrize("preload", [("diffusers",), ()])
def test_what_a_worker_finds_imported_is_nothing_unless_it_was_asked_for(preload: tuple[str, ...]) -> None:
    said = subprocess.run([sys.executable, "-c", FORK.format(preload)], capture_output=True, text=True, check=True)
    assert said.stdout == f"{len(preload)}\n"


SERVED = """
from multiprocessing import get_context
from fastgen_k8s.agent.crew import Crew
told = '''
import gc, os
from fastgen_k8s.agent import worker
from multiprocessing import Pipe
server = gc.isenabled()
worker.check = lambda argv: os._exit(10 * server + gc.isenabled())
worker.process("check", [], {}, Pipe()[1])
'''
Crew([], preload=("fastgen_k8s.agent.worker",))
forked = get_context("forkserver").Process(target=exec, args=(told, {}))
forked.start()
forked.join()
print(forked.exitcode)
"""


@pytest.mark.processes
def test_a_worker_collects_garbage_though_its_server_does_not() -> None:
    said = subprocess.run([sys.executable, "-c", SERVED], capture_output=True, text=True, check=True)
    assert said.stdout == "1\n"
