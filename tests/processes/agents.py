"""Agents as a scheduler starts them: a command line, an environment, an exit code, and what they wrote."""

import importlib
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

MET = {"last_call_timeout": 2, "keep_alive_interval": 1, "keep_alive_max_attempt": 3, "join_timeout": 120}


@dataclass(frozen=True)
class Group:
    """Processes that trained together."""

    processes: int
    after: int  # the step of the checkpoint that they went on from
    steps: list[int]

    @classmethod
    def parse(cls, said: str) -> "Group":
        """A group from what its rank 0 wrote."""
        processes, after = re.search(r"processes=(\d+)", said), re.search(r"after=(-?\d+)", said)
        assert processes is not None
        assert after is not None
        return cls(int(processes[1]), int(after[1]), [int(step) for step in re.findall(r" step=(\d+) +total", said)])


@dataclass
class Agent:
    """A running agent."""

    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def said(self) -> str:
        """What it and its workers wrote to stdout."""
        return re.sub(r"\x1b\[[0-9;]*m", "", (self.folder / "stdout").read_text())

    @property
    def errors(self) -> list[str]:
        """The lines on stderr."""
        return (self.folder / "stderr").read_text().splitlines()

    def groups(self) -> list["Group"]:
        """The groups of processes whose rank 0 was a worker of this agent."""
        pieces = re.split(r"\btraining +", self.said)[1:]
        return [Group.parse(piece) for piece in pieces]

    def wait(self) -> int:
        """Its exit code."""
        return self.process.wait(timeout=240)

    def ask(self) -> None:
        """SIGTERM, as a pod gets it: to this process alone."""
        self.process.send_signal(signal.SIGTERM)

    def ask_group(self) -> None:
        """SIGTERM to all of its process group, as TorchX's local scheduler does it."""
        os.killpg(self.process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to this process alone, as if its node were lost."""
        self.process.kill()
        self.process.wait()

    def workers(self) -> list[int]:
        """The process ids of its workers: grandchildren, forked from its server."""
        servers = _children(self.process.pid)
        return [pid for server in servers for pid in _children(server)]


def start(
    argv: Sequence[str],
    folder: Path,
    *,
    module: str = "fastgen_k8s.agent",
    limits: Mapping[int, int] = {},
    **environment: str,
) -> Agent:
    """Start an agent, with limits of `resource` if any."""
    folder.mkdir(parents=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PET_", "RANK", "WORLD_SIZE"))}
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *argv],
            env=clean | environment | {"OMP_NUM_THREADS": "1"},
            stdout=out,
            stderr=err,
            start_new_session=True,
            preexec_fn=lambda: [resource.setrlimit(name, (value, value)) for name, value in limits.items()],
        )
    return Agent(process, folder)


def two(argv: Sequence[str], folder: Path) -> tuple[Agent, Agent]:
    """Two agents of one job; the first one hosts the rendezvous."""
    port = free_port()
    host = start(argv, folder / "host", limits={}, **shared(port))
    wait_until(lambda: _listens(port), host)
    return host, start(argv, folder / "guest", limits={}, **shared(port))


def rendezvous(port: int, folder: Path, *more: str) -> Agent:
    """The place to meet in a process of its own, ready."""
    store = start(["--port", str(port), *more], folder, module="fastgen_k8s.rendezvous", limits={})
    wait_until(lambda: _listens(port), store)
    return store


def shared(port: int, **more: object) -> dict[str, str]:
    """The environment of agents of one job."""
    return {
        "PET_NNODES": "1:2",
        "PET_RDZV_ENDPOINT": f"localhost:{port}",
        "PET_RDZV_ID": "test",
        "PET_RDZV_CONF": ",".join(f"{name}={value}" for name, value in (MET | more).items()),
    }


def address_space(*modules: str) -> int:
    """Bytes of address space of a process that has imported some modules and done nothing else."""
    with ProcessPoolExecutor(1, get_context("forkserver")) as processes:
        return processes.submit(_size_with, modules).result()


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def wait_until(happened: Callable[[], bool], *agents: Agent, timeout: float = 240) -> None:
    """Look until something has happened, while the agents run."""
    until = time.monotonic() + timeout
    while not happened():
        ended = [agent for agent in agents if agent.process.poll() is not None]
        assert not ended, f"an agent ended early: {ended[0].errors}\n{ended[0].said}"
        assert time.monotonic() < until, "\n".join(agent.said for agent in agents)
        time.sleep(0.02)


def _size_with(modules: Sequence[str]) -> int:
    for module in modules:
        importlib.import_module(module)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("localhost", port)) == 0


def _children(parent: int) -> list[int]:
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found
