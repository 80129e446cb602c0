"""Inputs that are no artifacts: the one file that a URI names."""

from dataclasses import dataclass
from pathlib import Path

from fastgen_k8s.artifacts.address import SCHEME, Address
from fastgen_k8s.artifacts.artifact import find_artifact
from fastgen_k8s.artifacts.manifest import MANIFEST_BYTES, FileEntry
from fastgen_k8s.artifacts.store import store_at
from fastgen_k8s.errors import BadInput


def find_file(uri: str) -> Path | None:
    """A local file with the content of the one that a URI names; None when it names none."""
    if not uri.startswith(SCHEME):
        path = Path(uri.removeprefix("file://"))
        return path if path.is_file() else None
    place = _object(uri)
    return None if place is None else store_at(place[0]).copy(place[1])


@dataclass(frozen=True)
class Input:
    """What was found where an input is."""

    digest: str  # what works are hashed with: an artifact's own, or the content of one file
    sha256: str  # of an artifact.json, which binds all of its files, or of the one file


def input_digest(uri: str, at_most: int | None = None) -> str:
    """The digest of an input, as `find_input`."""
    return find_input(uri, at_most).digest


def find_input(uri: str, at_most: int | None = None, manifest: int = MANIFEST_BYTES) -> Input:
    """What an input holds; of a file nothing is kept.

    BadInput when there is neither an artifact nor a file, TooLarge for a file, or a manifest, of more bytes than that.
    """
    artifact = find_artifact(uri, manifest)
    if artifact is not None:
        return Input(artifact.manifest.digest, artifact.sha256)
    content = _content(uri, at_most)
    if content is None:
        found = "a folder without artifact.json" if is_folder(uri) else "nothing"
        raise BadInput(f"{uri}: wanted an artifact or a file, found {found}")
    return Input(content.sha256, content.sha256)


def is_folder(uri: str) -> bool:
    """Whether a URI names a place in which there are files."""
    return bool(store_at(uri).keys()) if uri.startswith(SCHEME) else Path(uri.removeprefix("file://")).is_dir()


def _content(uri: str, at_most: int | None) -> FileEntry | None:
    """Size and sha256 of the file that a URI names; None when it names none."""
    if not uri.startswith(SCHEME):
        path = find_file(uri)
        return None if path is None else FileEntry.of_file(path, at_most)
    place = _object(uri)
    return None if place is None else store_at(place[0]).content(place[1], at_most)


def _object(uri: str) -> tuple[str, str] | None:
    """The place and the name of the object that a URI names; None for a whole bucket."""
    above, _, name = uri.rpartition("/")
    return (above, name) if Address.parse(uri).prefix else None
