"""What one process uses of the cache: links under the files' own names, and scratch for files in the making.

A folder of an owner goes with its owner: whoever comes next and finds its lock free removes it.
"""

import fcntl
import os
import secrets
import shutil
import threading
import weakref
from functools import lru_cache
from pathlib import Path

from fastgen_k8s.artifacts.cache import Cache, cache_folder, cache_limit
from fastgen_k8s.config import digest
from fastgen_k8s.errors import io_at

_ONE_AT_A_TIME = threading.Lock()  # two threads must not make two


class Owner:
    """A process's folder in a cache."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        with io_at(cache.folder):
            with cache.locked("owners"):
                _bury(cache.folder)
                weakref.finalize(self, os.close, _held(_locks(cache.folder) / name))
            self._folder = cache.folder / "views" / name
            self._folder.mkdir(parents=True)

    def view(self, uri: str) -> Path:
        """Where the files of a store are linked to, by name."""
        return self._folder / "files" / digest(uri)[:12]

    def drafts(self, uri: str) -> Path:
        """Where files for a store are written first, by name."""
        return self._folder / "drafts" / digest(uri)[:12]


def owner() -> Owner:
    """This process's part of the cache that the environment names."""
    with _ONE_AT_A_TIME:
        return _owner(os.getpid(), cache_folder(), cache_limit())


@lru_cache(maxsize=8)
def _owner(pid: int, folder: Path, limit: int) -> Owner:
    return Owner(Cache(folder, limit))


def _locks(folder: Path) -> Path:
    locks = folder / "owners"
    locks.mkdir(parents=True, exist_ok=True)
    return locks


def _held(path: Path) -> int:
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _bury(folder: Path) -> None:
    """Remove the folders of processes that have ended."""
    for path in _locks(folder).iterdir():
        with path.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(folder / "views" / path.name, ignore_errors=True)
            path.unlink(missing_ok=True)
