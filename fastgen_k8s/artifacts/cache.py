"""Contents of files that came from a store, kept on this node by their sha256 and shared by its processes.

    contents/ab/abcd...   whole and checked, or not there; read-only, because others have hard links to it
    locks/ab              held while a content of that name is fetched, so that the processes of a node fetch it once
    views/<owner>/        hard links of one process, which keep what it uses (cache_views.py)

Least recently used goes first. What has a second link is in use: to evict it would free nothing.
"""

import fcntl
import os
import secrets
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from fastgen_k8s.artifacts.address import expanded
from fastgen_k8s.artifacts.manifest import FileEntry
from fastgen_k8s.errors import Misdescribed, StoreFailed, io_at

FOLDER, LIMIT = "FASTGEN_CACHE", "FASTGEN_CACHE_GIB"
_DEFAULT_GIB = 50.0
_SLACK = 32  # the folder is looked through when one part in so many was added


class Cache:
    """Contents in a folder, up to a limit in bytes."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._added = limit  # bytes since the folder was last looked through: the first addition looks

    def find(self, entry: FileEntry) -> Path | None:
        """The file with a content, or None; it now counts as used."""
        path = self._path(entry)
        try:
            if path.stat().st_size != entry.size:
                return None
            os.utime(path)
        except FileNotFoundError:
            return None
        return path

    def read(self, entry: FileEntry) -> bytes | None:
        """A content that is here, checked again, for it may be as old as the folder."""
        path = self.find(entry)
        if path is None:
            return None
        with suppress(FileNotFoundError):  # evicted meanwhile
            data = path.read_bytes()
            if FileEntry.of(data) == entry:
                return data
            path.unlink(missing_ok=True)
        return None

    def link(self, entry: FileEntry, target: Path, fetch: Callable[[Path], None]) -> None:
        """Make `target` a link to a content; what is not here is fetched, by one of the processes that want it.

        `fetch` writes the content to a path and has checked it when it returns. What was here is checked again.
        """
        with self._io():
            while self._linked(entry, target, fetch) and FileEntry.of_file(target) != entry:
                self._path(entry).unlink(missing_ok=True)

    def _linked(self, entry: FileEntry, target: Path, fetch: Callable[[Path], None]) -> bool:
        """Link to a content; whether it was here already."""
        with self.locked(entry.sha256[:2]):
            if (path := self.find(entry)) is not None:
                with suppress(FileNotFoundError):  # evicted meanwhile
                    _link(path, target)
                    return True
            with self._temporary(entry.size) as temporary:
                fetch(temporary)
                _link(temporary, target)  # before others see it, so that it is in use from the start
                self._keep(entry, temporary)
        return False

    def keep(self, entry: FileEntry, data: bytes) -> None:
        """Keep a content, unless there is no room for it: it is only kept for speed."""
        with suppress(OSError, StoreFailed), self._temporary(entry.size) as temporary:
            temporary.write_bytes(data)
            self._keep(entry, temporary)

    def adopt(self, entry: FileEntry, source: Path) -> None:
        """Keep a local file, which goes away here and costs no copy."""
        with self._io():
            self._make_room(entry.size)
            self._keep(entry, source)

    @contextmanager
    def _temporary(self, size: int) -> Generator[Path]:
        self._make_room(size)
        temporary = self._made("tmp") / secrets.token_hex(8)
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def _keep(self, entry: FileEntry, whole: Path) -> None:
        whole.chmod(whole.stat().st_mode & 0o444)  # for whom the umask lets read it, and nobody to write
        path = self._path(entry)
        path.parent.mkdir(parents=True, exist_ok=True)
        whole.replace(path)

    def _make_room(self, size: int) -> None:
        self._added += size
        if self._added < self.limit // _SLACK:
            return
        self._added = 0
        with self.locked("all"):
            self.evict(self.limit - self.limit // _SLACK - size)

    def evict(self, down_to: int) -> None:
        """Remove what nobody uses, least recently used first, until so many bytes are left."""
        found: list[tuple[float, int, Path]] = []
        for path in (self.folder / "contents").glob("??/*"):
            with suppress(FileNotFoundError):  # another process evicts too
                about = path.stat()
                if about.st_nlink == 1:
                    found.append((about.st_mtime, about.st_size, path))
                down_to -= about.st_size
        for _, size, path in sorted(found):
            if down_to >= 0:
                return
            path.unlink(missing_ok=True)
            down_to += size

    def _path(self, entry: FileEntry) -> Path:
        return self.folder / "contents" / entry.sha256[:2] / entry.sha256

    @contextmanager
    def locked(self, name: str) -> Generator[None]:
        """Hold one of the cache's locks, which the system releases when its holder dies."""
        with (self._made("locks") / name).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _made(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _io(self) -> AbstractContextManager[None]:
        return io_at(f"the cache {self.folder} ({FOLDER}, {LIMIT})")


def _link(path: Path, target: Path) -> None:
    """A hard link, in the place of another one if need be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    os.link(path, target)


def cache_folder() -> Path:
    """Where this machine keeps what came from stores: FASTGEN_CACHE, or a folder of the user's."""
    given = os.environ.get(FOLDER)
    if given:
        return Path(expanded(given))
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastgen-k8s"


def cache_limit() -> int:
    """How many bytes that may be: FASTGEN_CACHE_GIB."""
    given = os.environ.get(LIMIT, str(_DEFAULT_GIB))
    try:
        gib = float(given)
    except ValueError:
        gib = -1.0
    if not 0 <= gib < float("inf"):
        raise Misdescribed(f"{LIMIT}: wanted a number of GiB, found {given!r}")
    return int(gib * 2**30)
