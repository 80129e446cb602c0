"""One runner at a time for a root: a lock that the system releases when its holder dies."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from fastgen_k8s.errors import Stopped, failed_io

NAME = "run.lock"


@contextmanager
def only_runner(root: Path, called: str | None = None, pipeline: str = "") -> Generator[None]:
    """Hold the folder of a root, `called` so in messages; Stopped (75: try again later) when another runner does,
    with the name of its `pipeline`.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = (root / NAME).open("a+")  # closed on exec, so a stage that outlives its runner does not hold it
    except OSError as error:
        raise failed_io(error, root) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            process, _, name = file.read().strip().partition(" ")
            whose = f" with pipeline {name}: what it makes here is taken when it has ended" if name else ""
            raise Stopped(f"{called or root}: wanted no other runner, found process {process or '?'}{whose}") from error
        file.truncate(0)
        file.write(f"{os.getpid()} {pipeline}".rstrip() + "\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def holder(root: Path) -> int | None:
    """The process that holds the folder of a root, by its own word and while it lives."""
    try:
        said = int((root / NAME).read_text().partition(" ")[0])
    except (OSError, ValueError):
        return None
    try:
        os.kill(said, 0)
    except PermissionError:  # it is somebody else's
        return said
    except (ProcessLookupError, OverflowError):
        return None
    return said
