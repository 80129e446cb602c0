"""The agents of a root, found by their command lines: also those that a killed runner left behind.

Workers need no search: they end with their agent.
"""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from fastgen_k8s.launch.launch import AGENT

_PROC = Path("/proc")


@dataclass(frozen=True)
class Agent:
    """A process that carries out a work."""

    pid: int
    output: str  # of the work


def find(root: Path | str) -> list[Agent]:
    """Every agent whose work is that of a stage of `root`: it writes to root/<stage>/<digest>."""
    agents = (agent_of(pid, words) for pid, words in _command_lines())
    return [agent for agent in agents if agent and agent.output.rsplit("/", 2)[0] == str(root)]


def agent_of(pid: int, words: Sequence[str]) -> Agent | None:
    """The agent that a command line belongs to; None when it is another program's."""
    if ("-m", AGENT) not in pairwise(words):
        return None
    return next((Agent(pid, after) for word, after in pairwise(words) if word == "--output"), None)


def send(agents: Sequence[Agent], signum: signal.Signals) -> None:
    """Signal those that are still there."""
    for agent in agents:
        with suppress(ProcessLookupError):
            os.kill(agent.pid, signum)


def _command_lines() -> Iterator[tuple[int, list[str]]]:
    if not _PROC.is_dir():  # not Linux: no exact words, so a root with blanks in its name is not found
        listed = subprocess.run(["ps", "-axwwo", "pid=,command="], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            pid, _, words = line.strip().partition(" ")
            yield int(pid), words.split()
        return
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # it ended meanwhile
                yield int(folder.name), (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
