"""The machine's control groups (version 1): a folder a node in each controller, and who is inside."""

import os
import select
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.cluster.failures import ClusterFailed

ROOT = Path("/sys/fs/cgroup")
_COUNTED = "pids"  # a controller that every container is in
_PATIENCE = 5  # seconds for a killed process to end


def controllers() -> tuple[Path, ...]:
    """Each controller's folder; some names are links to another."""
    return tuple(p for p in sorted(ROOT.iterdir()) if p.is_dir() and not p.is_symlink() and (p / "tasks").exists())


def create(name: str) -> None:
    """A node's folder; a cpuset refuses processes until it has CPUs and memory."""
    for controller in controllers():
        folder = controller / name
        folder.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (folder / setting).exists():
                (folder / setting).write_text((controller / setting).read_text())


def of_container(name: str, uid: str, container: str) -> Path:
    """The group of a container of a pod."""
    found = next((ROOT / _COUNTED / name).glob(f"kubepods/**/pod{uid}/{container}"), None)
    if found is None:
        raise ClusterFailed(f"pod {uid}: wanted a control group of container {container} below {name}, found none")
    return found


def kill_all(pids: Iterable[int]) -> None:
    """Kill processes that need not be children of this one, and wait until each has ended."""
    handles: list[int] = []
    for pid in pids:
        try:
            handles.append(os.pidfd_open(pid))
        except ProcessLookupError:
            continue
    for handle in handles:
        _kill(handle)
    for handle in handles:
        select.select([handle], [], [], _PATIENCE)
        os.close(handle)


def remove(name: str) -> None:
    """Take the node's folders away, deepest first."""
    for controller in (p for p in ROOT.iterdir() if p.is_dir() and not p.is_symlink()):  # also the unified one
        folders = [p for p in (controller / name).rglob("*") if p.is_dir()]
        for folder in sorted(folders, key=lambda p: len(p.parts), reverse=True):
            folder.rmdir()
        if (controller / name).exists():
            (controller / name).rmdir()


def inside(name: str) -> Iterator[int]:
    """The processes of a node's pods."""
    for listing in (ROOT / _COUNTED / name).rglob("cgroup.procs"):
        yield from map(int, listing.read_text().split())


def _kill(handle: int) -> None:
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        return
