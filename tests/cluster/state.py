"""Where a running cluster keeps its files, and the lock that makes it the only one of the machine."""

import fcntl
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


def folder() -> Path:
    """Short (a Unix socket's path has 107 characters) and always the same, so that leftovers are found."""
    return Path(tempfile.gettempdir()) / f"fastgen-cluster-{os.getuid()}"


def logs() -> Path:
    """What the programs said; kept until the next cluster starts."""
    return Path(f"{folder()}-logs")


@contextmanager
def only_one() -> Generator[None]:
    """Wait until no other cluster runs: names and addresses are the machine's."""
    with Path(f"{folder()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
