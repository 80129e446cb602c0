"""What a command and all its descendants take: `python benchmarks/tree.py COMMAND...` prints seconds, CPU's and wall's.

A process whose parent has ended first, as servers of workers do, becomes this one's child (a subreaper, Linux'
prctl(2)), so that each is waited for by somebody and counted once.
"""

import ctypes
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER


class Spent(NamedTuple):
    """Seconds of a tree of processes."""

    cpu: float
    wall: float

    @classmethod
    def parse(cls, said: str) -> "Spent":
        """From the words of `main`."""
        cpu, wall = map(float, said.split())
        return cls(cpu, wall)


def spent(command: Sequence[str]) -> Spent:
    """Run a command to the end of its last descendant; CalledProcessError when it ends badly."""
    if ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    code = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
    while _one_is_left():
        pass
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if code:
        raise subprocess.CalledProcessError(code, command)
    return Spent(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


def _one_is_left() -> bool:
    """Wait for the next of those that others have left; False when there is none."""
    try:
        os.wait()
    except ChildProcessError:
        return False
    return True


if __name__ == "__main__":
    print(*spent(sys.argv[1:]))
