"""A store's files as files of this machine: a folder's own, and a bucket's by way of the node's cache."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

from fastgen_k8s.artifacts.cache_views import owner
from fastgen_k8s.artifacts.directory import Directory
from fastgen_k8s.artifacts.manifest import FileEntry
from fastgen_k8s.artifacts.names import below
from fastgen_k8s.artifacts.store import Store, absent
from fastgen_k8s.errors import io_at

_FILES_AT_ONCE = 8


class Cached:
    """The files of one store, read and written as a stage wants them. What is read is checked (BadInput)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._remote = None if isinstance(store, Directory) else store

    def fetch(self, key: str, entry: FileEntry) -> bytes:
        """A content in memory; what this node has already counts."""
        cache = None if self._remote is None else owner().cache
        data = None if cache is None else cache.read(entry)
        if data is None:
            data = self._store.stream(key, lambda found: found.wanted(entry))
            if data is None:
                raise absent(self._store, key)
            if cache is not None:
                cache.keep(entry, data)
        return data

    def local(self, key: str, entry: FileEntry) -> Path:
        """A local file with a content; only to be read, for the life of the process.

        The node's cache may have the content, but the store has to hold it: a later stage reads it elsewhere.
        """
        remote, path, found = self._remote, self._path(key), self._store.stat(key)
        if found is None:
            raise absent(self._store, key)
        if remote is None:
            entry.check(FileEntry.of_file(path), str(path))
        else:
            found.check(entry, remote.where(key))
            owner().cache.link(entry, path, lambda made: remote.download(key, entry, made))
        return path

    def folder(self, prefix: str, files: Mapping[str, FileEntry]) -> Path:
        """A local folder that stands for a prefix and holds these keys below it, each as `local` does."""
        _each(lambda key: self.local(key, files[key]), files)
        return self._path(prefix.rstrip("/"))

    def copy(self, key: str) -> Path | None:
        """A local file with what a key holds, whatever that is; None when it is absent."""
        path = self._path(key)
        if self._remote is None:
            return path if path.is_file() else None
        made = path.with_name(f".{uuid4().hex}")  # others may copy the same key, or read what was copied before
        with io_at(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                saved = self._remote.stream(key, lambda found: found.save(made))
                return None if saved is None else saved.replace(path)
            finally:
                made.unlink(missing_ok=True)

    def holds(self, key: str, entry: FileEntry) -> bool:
        """Whether a key has a content: by its size and what was recorded when it was put, else a folder's is read."""
        found = self._store.stat(key)
        if found is None or found.size != entry.size:
            return False
        if found.sha256 is None and self._remote is None:
            return FileEntry.of_file(self._path(key)) == entry
        return found.sha256 in (None, entry.sha256)

    def draft(self, prefix: str) -> Path:
        """A local folder in which to write files that `publish` puts below a prefix.

        A store's own folder will do: what lies there before a manifest names it is nobody's.
        """
        folder = self._path(prefix) if self._remote is None else owner().drafts(self._store.uri) / prefix
        with io_at(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def publish(self, prefix: str, files: Mapping[str, FileEntry]) -> None:
        """Put files of the draft of a prefix, by their names in it, where others see them.

        They stay in the node's cache, so that it need not read them back.
        """
        remote = self._remote
        if remote is None:
            return
        folder, cache = self.draft(prefix), owner().cache

        def put(name: str) -> None:
            remote.upload(f"{prefix}/{name}" if prefix else name, folder / name, files[name])
            cache.adopt(files[name], folder / name)

        _each(put, files)

    def _path(self, key: str) -> Path:
        """Where a key is on this machine, or will be; "" for all of them."""
        if isinstance(self._store, Directory):
            return self._store.path(key)
        view = owner().view(self._store.uri)
        return below(view, key) if key else view


def _each(work: Callable[[str], object], names: Mapping[str, FileEntry]) -> None:
    """Do the work for every name, some at once; the first failure counts."""
    with ThreadPoolExecutor(_FILES_AT_ONCE, "store") as pool:
        for future in [pool.submit(work, name) for name in names]:
            future.result()
