"""A folder as a store: writes go to a temporary name and are renamed or linked when whole.

What is put has its sha256 as an extended attribute, where the file system knows them: as an object in a bucket has.
"""

import os
import secrets
import shutil
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fastgen_k8s.artifacts.manifest import FileEntry, check_size, first_keys
from fastgen_k8s.artifacts.names import TEMPORARY, below, is_sha256
from fastgen_k8s.errors import BadInput, failed_io

_RECORDED = "user.sha256"
_UNFINISHED = ".tmp"  # ours, and those of libraries that write below a name of their own first
_ABANDONED = 3600.0  # seconds without a write after which nobody finishes a file


class Directory:
    """Files under a local folder; the folder is made with the first write."""

    def __init__(self, path: str) -> None:
        self.uri = path
        self.root = Path(path)

    def read(self, key: str, at_most: int | None = None) -> bytes:
        """The whole content of a key."""
        data = self.find(key, at_most)
        if data is None:
            raise BadInput(f"{self.root / key}: wanted a file, found none")
        return data

    def find(self, key: str, at_most: int | None = None) -> bytes | None:
        """The content of a key, or None when it is absent."""
        path = self._path(key)
        with _io(path):
            try:
                with path.open("rb") as file:
                    if at_most is None:
                        return file.read()
                    check_size(size := os.fstat(file.fileno()).st_size, at_most, str(path))
                    return file.read(size)
            except (FileNotFoundError, NotADirectoryError):
                return None

    def start(self, key: str, most: int) -> bytes | None:
        """The first bytes of a key."""
        path = self._path(key)
        with _io(path):
            try:
                with path.open("rb") as file:
                    return file.read(most)
            except (FileNotFoundError, NotADirectoryError):
                return None

    def put(self, key: str, data: bytes) -> None:
        """Write a key whole, replacing what was there."""
        target = self._place(key)
        with self._whole(target) as temporary:
            _write(temporary, data)
            temporary.replace(target)

    def put_new(self, key: str, data: bytes) -> bool:
        """Write a key whole unless it exists; whether this call wrote it."""
        target = self._place(key)
        with self._whole(target) as temporary:
            _write(temporary, data)
            try:
                os.link(temporary, target)  # fails where a rename would replace
            except FileExistsError:
                return False
            return True

    def upload(self, key: str, source: Path) -> None:
        """Write a key from a local file; one in a draft is there already."""
        target = self._place(key)
        if target.exists() and source.samefile(target):
            return
        with self._whole(target) as temporary:
            shutil.copyfile(source, temporary)
            _sync(temporary)
            temporary.replace(target)

    def fetch(self, key: str, entry: FileEntry) -> bytes:
        """The content of a key, checked."""
        path = self._path(key)
        with _io(path):
            if path.is_file():
                entry.check_size(path.stat().st_size, str(path))
        data = self.read(key, entry.size)
        entry.check(FileEntry.of(data), str(path))
        return data

    def local(self, key: str, entry: FileEntry) -> Path:
        """The file itself, checked."""
        path = self._path(key)
        if not path.is_file():
            raise BadInput(f"{path}: wanted a file, found none")
        entry.check(FileEntry.of_file(path), str(path))
        return path

    def folder(self, prefix: str, files: Mapping[str, FileEntry]) -> Path:
        """The folder itself, with these files checked."""
        for key, entry in files.items():
            self.local(key, entry)
        return self._path(prefix.rstrip("/")) if prefix else self.root

    def copy(self, key: str) -> Path | None:
        """The file itself."""
        path = self._path(key)
        return path if path.is_file() else None

    def content(self, key: str, at_most: int | None = None) -> FileEntry | None:
        """Size and sha256 of a file."""
        path = self.copy(key)
        return None if path is None else FileEntry.of_file(path, at_most)

    def stated(self, key: str) -> FileEntry | None:
        """Nothing: a folder has no room for it."""

    def holds(self, key: str, entry: FileEntry) -> bool:
        """Whether a file has a content, by its size and what was recorded when it was put; else it is read."""
        path = self._path(key)
        if not path.is_file() or path.stat().st_size != entry.size:
            return False
        return (_recorded(path) or FileEntry.of_file(path).sha256) == entry.sha256

    def written(self, key: str) -> float | None:
        """When a file was last written."""
        path = self._path(key)
        with _io(path):
            try:
                return path.stat().st_mtime
            except (FileNotFoundError, NotADirectoryError):
                return None

    def draft(self, prefix: str) -> Path:
        """The folder itself: what lies there before a manifest names it is nobody's."""
        folder = self._place(prefix) if prefix else self.root
        with _io(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def publish(self, prefix: str, files: Mapping[str, FileEntry]) -> None:
        """The files are there already."""

    def keys(self, prefix: str = "", at_most: int | None = None) -> Sequence[str]:
        """All keys that begin with `prefix`, sorted; unfinished writes are not keys."""
        with _io(self.root):
            top = self.root / prefix.rpartition("/")[0]
            files = (path for path in top.rglob("*") if path.is_file() and not path.name.startswith(_UNFINISHED))
            names = (path.relative_to(self.root).as_posix() for path in files)
            return first_keys((name for name in names if name.startswith(prefix)), at_most, self.uri)

    def delete(self, key: str) -> None:
        """Remove a key; an absent one is fine."""
        path = self._place(key)
        with _io(path):
            path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what killed writers left unfinished."""
        with _io(self.root):
            for path in self.root.rglob(f"{_UNFINISHED}*"):
                with suppress(FileNotFoundError):  # finished meanwhile
                    if path.is_file() and time.time() - path.stat().st_mtime > _ABANDONED:
                        path.unlink()

    def _path(self, key: str) -> Path:
        """Where a key is read; BadInput for one that leads out of the folder, by its name or by a link.

        The folder itself may be a link, and a link that stays inside is as good as a file.
        """
        path = below(self.root, key)
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
    def _whole(self, target: Path) -> Generator[Path]:
        with _io(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
            temporary.touch(exist_ok=False)  # who may read and write it is what the umask says
            try:
                yield temporary
            finally:
                temporary.unlink(missing_ok=True)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    if sys.platform == "linux":
        with suppress(OSError):  # a file system without attributes
            os.setxattr(path, _RECORDED, FileEntry.of(data).sha256.encode())
    _sync(path)


def _recorded(path: Path) -> str | None:
    """The sha256 that was recorded of a file; what is none was not recorded, as with an object."""
    found = ""
    if sys.platform == "linux":
        with suppress(OSError):
            found = os.getxattr(path, _RECORDED).decode(errors="replace")
    return found if is_sha256(found) else None


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def _io(where: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise failed_io(error, where) from error
