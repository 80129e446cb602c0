"""Where artifacts live: keys under a URI, with one conditional put."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Protocol

from fastgen_k8s.artifacts.address import SCHEMES, expanded, is_remote
from fastgen_k8s.artifacts.directory import Directory
from fastgen_k8s.artifacts.manifest import FileEntry
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.printable import unfit


class Store(Protocol):
    """Files by key under one URI. Raises BadInput for a key that is absent, StoreFailed when I/O fails."""

    uri: str

    def read(self, key: str, at_most: int | None = None) -> bytes:
        """The whole content of a key; TooLarge for one of more bytes than that, before it is in memory."""
        ...

    def find(self, key: str, at_most: int | None = None) -> bytes | None:
        """The content of a key, or None when it is absent; TooLarge as `read`."""
        ...

    def start(self, key: str, most: int) -> bytes | None:
        """The first bytes of a key, at most so many, whatever follows; None when it is absent."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write a key whole, replacing what was there."""
        ...

    def put_new(self, key: str, data: bytes) -> bool:
        """Write a key whole unless it exists; whether this call wrote it."""
        ...

    def upload(self, key: str, source: Path) -> None:
        """Write a key from a local file."""
        ...

    def fetch(self, key: str, entry: FileEntry) -> bytes:
        """The content of a key, checked (BadInput); a content that this node has already counts."""
        ...

    def local(self, key: str, entry: FileEntry) -> Path:
        """A local file with the content of a key, checked (BadInput); only to be read, for the life of the process."""
        ...

    def folder(self, prefix: str, files: Mapping[str, FileEntry]) -> Path:
        """A local folder that stands for a prefix and holds these keys below it, as `local` does."""
        ...

    def copy(self, key: str) -> Path | None:
        """A local file with what a key holds, whatever that is; None when it is absent."""
        ...

    def content(self, key: str, at_most: int | None = None) -> FileEntry | None:
        """Size and sha256 of what a key holds, whatever that is; None when it is absent, TooLarge as `read`."""
        ...

    def stated(self, key: str) -> FileEntry | None:
        """What the writer of a key has written down of its content, which nobody has checked; None without."""
        ...

    def holds(self, key: str, entry: FileEntry) -> bool:
        """Whether a key has a content."""
        ...

    def written(self, key: str) -> float | None:
        """When a key was written, in seconds since 1970; None when it is absent."""
        ...

    def draft(self, prefix: str) -> Path:
        """A local folder in which to write files that `publish` puts below a prefix."""
        ...

    def publish(self, prefix: str, files: Mapping[str, FileEntry]) -> None:
        """Put files of the draft of a prefix, by their names in it, where others see them."""
        ...

    def keys(self, prefix: str = "", at_most: int | None = None) -> Sequence[str]:
        """All keys that begin with `prefix`, sorted; TooLarge for more than that, of which no more are looked at."""
        ...

    def delete(self, key: str) -> None:
        """Remove a key; an absent one is fine."""
        ...

    def sweep(self) -> None:
        """Remove what killed writers left unfinished."""
        ...


def store_at(uri: str) -> Store:
    """The store that a URI names: a folder, or a prefix of a bucket."""
    uri = expanded(uri)
    scheme, separator, _ = uri.partition("://")
    if is_remote(uri):
        return resolve_name(SCHEMES[scheme])(uri)
    if not uri.removeprefix("file://") or unfit(uri) or (separator and scheme != "file"):
        known = " or ".join(f"{each}://" for each in ("file", *SCHEMES))
        raise Misdescribed(f"wanted a folder, {known} as the place of an artifact, found {uri!r}")
    return Directory(uri.removeprefix("file://"))
