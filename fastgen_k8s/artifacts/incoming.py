"""What a store says of a key, and a key's content on its way from there: bounded, and checked when it has arrived."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fastgen_k8s.artifacts.manifest import FileEntry, check_size
from fastgen_k8s.errors import BadInput

PIECE = 1 << 19  # bytes, of which two are in memory: one that is looked at, and the next


class Garbled(BadInput):
    """A content that arrived as another than the one that is wanted: the way here may have done that."""


@dataclass(frozen=True)
class Stat:
    """What a store says of a key, which nobody has checked."""

    size: int | None  # bytes, where it says so
    sha256: str | None  # as recorded by whoever put it
    written: float | None  # seconds since 1970

    @property
    def entry(self) -> FileEntry | None:
        """Size and sha256, where both are said."""
        return None if self.size is None or self.sha256 is None else FileEntry(size=self.size, sha256=self.sha256)

    def check(self, wanted: FileEntry, where: str) -> None:
        """Raise BadInput for what is said to be of another size or content."""
        if self.size is not None:
            wanted.check_size(self.size, where)
        if self.sha256 is not None:
            wanted.check(FileEntry(size=wanted.size, sha256=self.sha256), where)


@dataclass(frozen=True)
class Incoming:
    """A content that is open to be read, once; Garbled when it is not what its store has said that it is."""

    where: str
    stat: Stat
    pieces: Iterable[bytes]

    def whole(self, at_most: int | None = None) -> bytes:
        """All of it; TooLarge for more bytes than that, before they are in memory."""
        data = b"".join(self._bounded(at_most))
        if self.stat.entry is not None:
            arrived(self.stat.entry, FileEntry.of(data), self.where)
        return data

    def wanted(self, entry: FileEntry) -> bytes:
        """All of it, if it is this content; else BadInput."""
        self.stat.check(entry, self.where)
        data = b"".join(self._bounded(entry.size))
        arrived(entry, FileEntry.of(data), self.where)
        return data

    def start(self, most: int) -> bytes:
        """The first bytes, at most so many, whatever follows."""
        found = bytearray()
        for piece in self.pieces:
            found += piece
            if len(found) >= most:
                break
        return bytes(found[:most])

    def content(self, at_most: int | None = None) -> FileEntry:
        """Size and sha256 of what is read through and not kept; TooLarge as `whole`."""
        found = FileEntry.of_pieces(self._bounded(at_most))
        arrived(self.stat.entry or found, found, self.where)
        return found

    def save(self, path: Path) -> Path:
        """All of it in a local file."""
        with path.open("wb") as file:
            file.writelines(self.pieces)
        if self.stat.entry is not None:
            arrived(self.stat.entry, FileEntry.of_file(path), self.where)
        return path

    def _bounded(self, at_most: int | None) -> Iterable[bytes]:
        """The pieces: none when the store says that they are too many, no more when it does not say."""
        check_size(self.stat.size or 0, at_most, self.where)
        size = 0
        for piece in self.pieces:
            size += len(piece)
            check_size(size, at_most, self.where)
            yield piece


def arrived(wanted: FileEntry, found: FileEntry, where: str) -> None:
    """Raise Garbled when what has arrived is not what is wanted."""
    try:
        wanted.check(found, where)
    except BadInput as error:
        raise Garbled(str(error)) from error
