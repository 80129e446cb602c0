"""Inputs that are no artifacts: the one file, or the one DCP folder, that a URI names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from fastgen_k8s.artifacts.address import Address, is_remote, path_of
from fastgen_k8s.artifacts.artifact import find_artifact
from fastgen_k8s.artifacts.cached import Cached
from fastgen_k8s.artifacts.directory import stream_file
from fastgen_k8s.artifacts.incoming import Incoming
from fastgen_k8s.artifacts.manifest import MANIFEST_BYTES, FileEntry, TooLarge
from fastgen_k8s.artifacts.store import Store, store_at
from fastgen_k8s.config import digest
from fastgen_k8s.errors import BadInput

DESCRIBED = ".metadata"  # what tells a DCP folder from others
T = TypeVar("T")
MOST_PARTS = 4096  # files of a DCP folder: each process that saved has written one or two


def find_file(uri: str) -> Path | None:
    """A local file with the content of the one that a URI names; None when it names none."""
    if not is_remote(uri):
        path = path_of(uri)
        return path if path.is_file() else None
    place = _object(uri)
    return None if place is None else Cached(place[0]).copy(place[1])


@dataclass(frozen=True)
class Folder:
    """A local folder with the files of a DCP folder, and the digest of what they hold."""

    path: Path  # its last part is that of the URI
    digest: str


def find_folder(uri: str) -> Folder | None:
    """The DCP folder that a URI names, with the files that its digest counts and no other; None when it names none."""
    entries = _entries(uri, None)
    if entries is None:
        return None
    if not is_remote(uri):
        return Folder(path_of(uri), _digest(entries))
    above, name = _object(uri) or (store_at(uri), "")
    prefix = f"{name}/" if name else ""
    path = Cached(above).folder(prefix, {prefix + key: entry for key, entry in entries.items()})
    return Folder(path, _digest(entries))


@dataclass(frozen=True)
class Input:
    """What was found where an input is."""

    digest: str  # what works are hashed with: an artifact's own, or the content of one file or DCP folder
    sha256: str  # of an artifact.json, which binds all of its files, or of the one file or DCP folder
    form: Literal["artifact", "file", "folder"] = "artifact"


def input_digest(uri: str, at_most: int | None = None) -> str:
    """The digest of an input, as `find_input`."""
    return find_input(uri, at_most).digest


def find_input(uri: str, at_most: int | None = None, manifest: int = MANIFEST_BYTES) -> Input:
    """What an input holds; of a file nothing is kept.

    BadInput when there is neither an artifact, a file nor a DCP folder, TooLarge for a file, a folder that nobody has
    hashed, or a manifest, of more bytes than that.
    """
    artifact = find_artifact(uri, manifest)
    if artifact is not None:
        return Input(artifact.manifest.digest, artifact.sha256)
    content = _stream(uri, lambda found: found.content(at_most))
    if content is not None:
        return Input(content.sha256, content.sha256, "file")
    entries = _entries(uri, at_most)
    if entries is not None:
        return Input(_digest(entries), _digest(entries), "folder")
    found = f"a folder without artifact.json and {DESCRIBED}" if is_folder(uri) else "nothing"
    raise BadInput(f"{uri}: wanted an artifact, a file or a DCP folder, found {found}")


def start_of(uri: str, most: int) -> bytes:
    """The first bytes of the file that a URI names, at most so many; none where it names none."""
    return _stream(uri, lambda found: found.start(most)) or b""


def is_folder(uri: str) -> bool:
    """Whether a URI names a place in which there are files."""
    return bool(store_at(uri).keys()) if is_remote(uri) else path_of(uri).is_dir()


def _stream(uri: str, take: Callable[[Incoming], T]) -> T | None:
    """What `take` makes of the file that a URI names; None when it names none."""
    if not is_remote(uri):
        path = path_of(uri)
        return stream_file(path, take) if path.is_file() else None
    place = _object(uri)
    return None if place is None else place[0].stream(place[1], take)


def _object(uri: str) -> tuple[Store, str] | None:
    """The store and the key of the object that a URI names; None for a whole bucket."""
    above, _, name = uri.rpartition("/")
    return (store_at(above), name) if Address.parse(uri).prefix else None


def _entries(uri: str, at_most: int | None) -> dict[str, FileEntry] | None:
    """Every file of a DCP folder by its name there; None where there is none.

    A file whose sha256 its writer has written down costs one question; the others are read through, `at_most` bytes.
    """
    store, found, left = store_at(uri), dict[str, FileEntry](), at_most
    if store.stat(DESCRIBED) is None:
        return None
    for name in store.keys(at_most=MOST_PARTS):
        said = store.stat(name) if is_remote(uri) else None  # what is written of a file, its folder's owner may edit
        entry = said and said.entry
        if entry is None:
            entry = _read_through(store, name, left)
            left = None if left is None else left - entry.size
        found[name] = entry
    return found


def _read_through(store: Store, name: str, left: int | None) -> FileEntry:
    try:
        entry = store.stream(name, lambda found: found.content(left))
    except TooLarge as error:
        raise TooLarge(f"{store.uri}: wanted a smaller DCP folder: {error}") from error
    if entry is None:
        raise BadInput(f"{store.where(name)}: wanted a file, found none any more")
    return entry


def _digest(entries: Mapping[str, FileEntry]) -> str:
    """The digest of a DCP folder: of the name, the size and the content of each file."""
    return digest({name: [entry.size, entry.sha256] for name, entry in entries.items()})
