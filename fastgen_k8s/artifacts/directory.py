"""A folder as a store: writes go to a temporary name and are renamed or linked when whole.

What is put has its sha256 as an extended attribute, where the file system knows them: as an object in a bucket has.
"""

import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from typing import TypeVar

from fastgen_k8s.artifacts.incoming import PIECE, Incoming, Stat
from fastgen_k8s.artifacts.manifest import FileEntry, first_keys
from fastgen_k8s.artifacts.names import TEMPORARY, below, is_sha256
from fastgen_k8s.errors import BadInput, io_at

T = TypeVar("T")
_RECORDED = "user.sha256"
_UNFINISHED = ".tmp"  # ours, and those of libraries that write below a name of their own first
_ABANDONED = 3600.0  # seconds without a write after which nobody finishes a file


class Directory:
    """Files under a local folder; the folder is made with the first write."""

    def __init__(self, path: str) -> None:
        self.uri = path
        self.root = Path(path)

    def where(self, key: str) -> str:
        """The path of a key."""
        return str(self.root / key)

    def get(self, key: str, at_most: int | None = None) -> bytes | None:
        """The whole content of a key, None when it is absent."""
        return self.stream(key, lambda found: found.whole(at_most))

    def stream(self, key: str, take: Callable[[Incoming], T]) -> T | None:
        """What `take` makes of a key's content."""
        return stream_file(self.path(key), take)

    def stat(self, key: str) -> Stat | None:
        """Size, recorded sha256 and time of a file."""
        path = self.path(key)
        with io_at(path):
            try:
                about = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return Stat(about.st_size, _recorded(path), about.st_mtime) if S_ISREG(about.st_mode) else None

    def put(self, key: str, data: bytes) -> None:
        """Write a key whole, replacing what was there."""
        with self._whole(key, FileEntry.of(data), lambda path: path.write_bytes(data)) as (made, target):
            made.replace(target)

    def put_new(self, key: str, data: bytes) -> bool:
        """Write a key whole unless it exists; whether this call wrote it."""
        with self._whole(key, FileEntry.of(data), lambda path: path.write_bytes(data)) as (made, target):
            try:
                os.link(made, target)  # fails where a rename would replace
            except FileExistsError:
                return False
            return True

    def upload(self, key: str, source: Path, entry: FileEntry) -> None:
        """Write a key from a local file with this content, unless it is that file."""
        target = self._place(key)
        if not (target.exists() and source.samefile(target)):
            with self._whole(key, entry, lambda path: shutil.copyfile(source, path)) as (made, _):
                made.replace(target)

    def keys(self, prefix: str = "", at_most: int | None = None) -> Sequence[str]:
        """All keys that begin with `prefix`, sorted; unfinished writes are not keys."""
        with io_at(self.root):
            top = self.root / prefix.rpartition("/")[0]
            files = (path for path in top.rglob("*") if path.is_file() and not path.name.startswith(_UNFINISHED))
            names = (path.relative_to(self.root).as_posix() for path in files)
            return first_keys((name for name in names if name.startswith(prefix)), at_most, self.uri)

    def delete(self, key: str) -> None:
        """Remove a key; an absent one is fine."""
        path = self._place(key)
        with io_at(path):
            path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what killed writers left unfinished."""
        with io_at(self.root):
            for path in self.root.rglob(f"{_UNFINISHED}*"):
                with suppress(FileNotFoundError):  # finished meanwhile
                    if path.is_file() and time.time() - path.stat().st_mtime > _ABANDONED:
                        path.unlink()

    def path(self, key: str) -> Path:
        """Where a key is read, "" for all of them; BadInput for one that leads out, by its name or by a link.

        The folder itself may be a link, and a link that stays inside is as good as a file.
        """
        path = below(self.root, key) if key else self.root
        return self._inside(path, path)

    def _place(self, key: str) -> Path:
        """Where a key is written or removed: what is replaced then is a link itself, and not what it leads to."""
        path = below(self.root, key)
        return self._inside(path, path.parent)

    def _inside(self, path: Path, followed: Path) -> Path:
        top = os.path.realpath(self.root)
        if os.path.commonpath([top, os.path.realpath(followed)]) != top:
            raise BadInput(f"{path}: wanted a file below {self.root}, found a link that leads out of it")
        return path

    @contextmanager
    def _whole(self, key: str, entry: FileEntry, write: Callable[[Path], object]) -> Generator[tuple[Path, Path]]:
        """A file beside its target, on the disk with what was recorded of it; it does not outlive the block."""
        target = self._place(key)
        with io_at(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            made = target.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
            made.touch(exist_ok=False)  # who may read and write it is what the umask says
            try:
                write(made)
                _record(made, entry.sha256)
                with made.open("rb") as file:
                    os.fsync(file.fileno())
                yield made, target
            finally:
                made.unlink(missing_ok=True)


def stream_file(path: Path, take: Callable[[Incoming], T]) -> T | None:
    """What `take` makes of a file; what was recorded of it says nothing here, for anybody may edit a file."""
    with io_at(path):
        try:
            with path.open("rb") as file:
                about = os.fstat(file.fileno())
                said = Stat(about.st_size, None, about.st_mtime)
                return take(Incoming(str(path), said, iter(lambda: file.read(PIECE), b"")))
        except (FileNotFoundError, NotADirectoryError):
            return None


def _record(path: Path, sha256: str) -> None:
    if sys.platform == "linux":
        with suppress(OSError):  # a file system without attributes
            os.setxattr(path, _RECORDED, sha256.encode())


def _recorded(path: Path) -> str | None:
    """The sha256 that was recorded of a file; what is none was not recorded, as with an object."""
    found = ""
    if sys.platform == "linux":
        with suppress(OSError):
            found = os.getxattr(path, _RECORDED).decode(errors="replace")
    return found if is_sha256(found) else None
