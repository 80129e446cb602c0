"""Where artifacts live: keys under a URI, with one conditional put."""

from collections.abc import Callable, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Protocol, TypeVar

from fastgen_k8s.artifacts.address import SCHEMES, expanded, is_remote
from fastgen_k8s.artifacts.directory import Directory
from fastgen_k8s.artifacts.incoming import Incoming, Stat
from fastgen_k8s.artifacts.manifest import FileEntry
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.printable import unfit

T = TypeVar("T")


class Remote(Protocol):
    """Files by key under one URI, elsewhere; a folder of this machine has all of it but `download`.

    Raises BadInput for what is not as wanted, StoreFailed when I/O fails.
    """

    uri: str

    def where(self, key: str) -> str:
        """What a person calls a key."""
        ...

    def get(self, key: str, at_most: int | None = None) -> bytes | None:
        """The whole content of a key, None when it is absent; TooLarge for more bytes, before they are in memory."""
        ...

    def stream(self, key: str, take: Callable[[Incoming], T]) -> T | None:
        """What `take` makes of a key's content as it comes; None when it is absent.

        It is called again where what came was cut or changed on its way.
        """
        ...

    def stat(self, key: str) -> Stat | None:
        """Size, recorded sha256 and time of a key, which nobody has checked; None when it is absent."""
        ...

    def keys(self, prefix: str = "", at_most: int | None = None) -> Sequence[str]:
        """All keys that begin with `prefix`, sorted; TooLarge for more than that, of which no more are looked at."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write a key whole, replacing what was there."""
        ...

    def put_new(self, key: str, data: bytes) -> bool:
        """Write a key whole unless it exists; whether this call wrote it."""
        ...

    def upload(self, key: str, source: Path, entry: FileEntry) -> None:
        """Write a key from a local file with this content, in parts where it is large."""
        ...

    def download(self, key: str, entry: FileEntry, target: Path) -> None:
        """Write a key with this content to a local file, in parts where it is large; BadInput for another one."""
        ...

    def delete(self, key: str) -> None:
        """Remove a key; an absent one is fine."""
        ...

    def sweep(self) -> None:
        """Remove what killed writers left unfinished."""
        ...


Store = Directory | Remote
"""A folder of this machine, or what a row of SCHEMES leads to."""


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


def read(store: Store, key: str, at_most: int | None = None) -> bytes:
    """The whole content of a key that has to be there (BadInput); TooLarge as `get`."""
    data = store.get(key, at_most)
    if data is None:
        raise absent(store, key)
    return data


def absent(store: Store, key: str) -> BadInput:
    """What is said of a key that is not there."""
    return BadInput(f"{store.where(key)}: wanted a file, found none")
