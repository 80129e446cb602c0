"""The logs that a scheduler of this machine writes: read, and followed while somebody writes."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from fastgen_k8s.people.source import Said

_LOOK_EVERY = 0.2  # seconds
_FILES = "*/*/std*.log"  # role, replica; what joins both streams ends with the runner, these with the agent


def lines_of(job: Path, follow: bool, alive: Callable[[], bool]) -> Iterator[Said]:
    """The lines of all replicas of a job, each behind its replica's name; followed as long as the job is `alive`."""
    read: dict[Path, int] = {}  # bytes
    while True:
        more = follow and alive()  # asked before reading: what it wrote until now is read
        for path in sorted(job.glob(_FILES)):
            lines, read[path] = _new_lines(path, read.get(path, 0), whole=more)
            name = f"{path.parent.parent.name}/{path.parent.name}"
            yield from (Said(name, line) for line in lines)
        if not more:
            return
        time.sleep(_LOOK_EVERY)


def _new_lines(path: Path, begin: int, whole: bool) -> tuple[list[str], int]:
    """The lines of a file from a place on, without an unfinished last one if `whole`; and where they end."""
    with path.open("rb") as file:
        file.seek(begin)
        data = file.read()
    if whole:
        data = data[: data.rfind(b"\n") + 1]
    text = data.decode(errors="replace").removesuffix("\n")
    return text.split("\n") if data else [], begin + len(data)
