"""Questions about pods: what their status says, and which processes of this machine are theirs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.api import Object
from tests.cluster.conditions import holds

OVER = frozenset({"Succeeded", "Failed"})


def phase(pod: Object) -> str:
    return pod.get("status", {}).get("phase", "")


def is_ready(pod: Object) -> bool:
    """Whether its Ready condition holds and nobody has deleted it."""
    return holds(pod, "Ready") and "deletionTimestamp" not in pod["metadata"]


def exit_codes(pod: Object) -> tuple[int, ...]:
    """The exit codes of its containers that have ended, as the pod's status holds them."""
    states = [status["state"] for status in pod.get("status", {}).get("containerStatuses", [])]
    return tuple(state["terminated"]["exitCode"] for state in states if "terminated" in state)


def container_id(pod: Object, container: str | None = None) -> str | None:
    """The runtime's id of a container (of the first one), once it has been started."""
    for status in pod.get("status", {}).get("containerStatuses", []):
        if container in (None, status["name"]) and "running" in status["state"]:
            return status["containerID"].rpartition("/")[2]
    return None


@dataclass(frozen=True)
class PodProcess:
    """A process in a container: its number here, its number in the container, its command line."""

    pid: int
    inner: int
    command: tuple[str, ...]

    def runs(self, words: Sequence[str]) -> bool:
        """Whether its command line has all of these words in it."""
        line = " ".join(self.command)
        return all(word in line for word in words)


def processes(group: Path) -> Iterator[PodProcess]:
    """The processes of a control group. One that ends meanwhile is left out."""
    for pid in (group / "cgroup.procs").read_text().split():
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        inner = next(line.split()[-1] for line in status.splitlines() if line.startswith("NSpid:"))
        yield PodProcess(int(pid), int(inner), tuple(command.rstrip("\0").split("\0")))
