"""Where artifacts live: keys under a URI, with one conditional put."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from fastgen_k8s.artifacts.directory import Directory
from fastgen_k8s.errors import Misdescribed


class Store(Protocol):
    """Files by key under one URI. Raises BadInput for a key that is absent, StoreFailed when I/O fails."""

    uri: str

    def read(self, key: str) -> bytes:
        """The whole content of a key."""
        ...

    def find(self, key: str) -> bytes | None:
        """The content of a key, or None when it is absent."""
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

    def local(self, key: str) -> Path:
        """A local file with the content of a key."""
        ...

    def keys(self, prefix: str = "") -> Sequence[str]:
        """All keys that begin with `prefix`, sorted."""
        ...

    def delete(self, key: str) -> None:
        """Remove a key; an absent one is fine."""
        ...

    def sweep(self) -> None:
        """Remove what killed writers left unfinished."""
        ...


def store_at(uri: str) -> Store:
    """The store that a URI names: a folder, for now."""
    scheme, separator, _ = uri.partition("://")
    if not uri.removeprefix("file://") or "\0" in uri or (separator and scheme != "file"):
        raise Misdescribed(f"wanted a folder or file:// as the place of an artifact, found {uri!r}")
    return Directory(uri.removeprefix("file://"))
