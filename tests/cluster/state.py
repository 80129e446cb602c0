"""Where a running cluster keeps its files, and the lock that makes it the only one of the machine."""

import fcntl
import os
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.addresses import SLOT


def folder() -> Path:
    """Short (a Unix socket's path has 107 characters) and always the same, so that leftovers are found."""
    slot = f"-{SLOT}" if SLOT else ""
    return Path(tempfile.gettempdir()) / f"fastgen-cluster-{os.getuid()}{slot}"


def logs() -> Path:
    """What the programs said; kept until the next cluster starts."""
    return Path(f"{folder()}-logs")


@contextmanager
def only_one() -> Generator[None]:
    """Wait until no other cluster runs: names and addresses are the machine's."""
    with Path(f"{folder()}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for the cluster that runs in {folder()} to end", file=sys.__stderr__, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
