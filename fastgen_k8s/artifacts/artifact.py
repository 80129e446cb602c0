"""Begin, commit and open artifacts: data first, the manifest last."""

import os
import secrets
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import JsonValue

from fastgen_k8s.artifacts.cached import Cached
from fastgen_k8s.artifacts.facts import Facts
from fastgen_k8s.artifacts.manifest import (
    CLAIM,
    MANIFEST,
    MANIFEST_BYTES,
    MODEL,
    MOST_BYTES,
    Claim,
    FileEntry,
    Manifest,
    check_size,
    content_digest,
    from_json,
    to_json,
)
from fastgen_k8s.artifacts.names import TEMPORARY, below
from fastgen_k8s.artifacts.store import Store, read, store_at
from fastgen_k8s.errors import BadInput, Misdescribed, io_at

F = TypeVar("F", bound=Facts)


class Writer:
    """An artifact in the making. Files put here are garbage until `commit`."""

    def __init__(self, store: Store, claim: Claim, inputs: Mapping[str, str]) -> None:
        self.store, self.claim, self.inputs = store, claim, dict(inputs)
        self.files: dict[str, FileEntry] = {}

    def put(self, name: str, data: bytes) -> FileEntry:
        """Write one file and remember it for the manifest."""
        self.store.put(name, data)
        self.files[name] = FileEntry.of(data)
        return self.files[name]

    @contextmanager
    def file(self, name: str) -> Generator[Path]:
        """A local path for a file of any size, which is put here, in parts where it is large, when the block ends."""
        folder = Cached(self.store).draft("")
        made, whole = folder / f"{TEMPORARY}{secrets.token_hex(8)}", below(folder, name)
        with io_at(made):
            try:
                whole.parent.mkdir(parents=True, exist_ok=True)
                made.touch(exist_ok=False)
                mode = made.stat().st_mode  # as the umask says, whoever writes it
                yield made
                made.chmod(mode)
                with made.open("rb") as file:
                    os.fsync(file.fileno())
                made.replace(whole)
            finally:
                made.unlink(missing_ok=True)
        entries = {name: FileEntry.of_file(whole)}
        Cached(self.store).publish("", entries)
        self.add(entries)

    def add(self, files: Mapping[str, FileEntry]) -> None:
        """Name files that somebody else wrote here."""
        self.files.update(files)

    def commit(self, facts: Mapping[str, JsonValue]) -> Manifest:
        """Put the manifest unless another writer's is there; either way, return the one that counts."""
        manifest = Manifest.parse(
            {
                "kind": self.claim.kind,
                "digest": self.claim.digest,
                "inputs": self.inputs,
                "facts": facts,
                "files": self.files,
            },
            f"{self.store.uri}/{MANIFEST}",
        )
        data = manifest.to_json()
        check_size(len(data), MANIFEST_BYTES, f"{self.store.uri}/{MANIFEST}")
        if self.store.put_new(MANIFEST, data):
            self.store.sweep()
            return manifest
        return open_artifact(self.store.uri, self.claim.kind).manifest


class Artifact:
    """A whole artifact, read with verification."""

    def __init__(self, store: Store, manifest: Manifest, sha256: str) -> None:
        self.store, self.manifest = store, manifest
        self.sha256 = sha256  # of the manifest's bytes: it binds every file
        self._verified: dict[str, Path] = {}

    @property
    def uri(self) -> str:
        """Where it is."""
        return self.store.uri

    def read(self, name: str) -> bytes:
        """A file's content, checked against the manifest (BadInput)."""
        return Cached(self.store).fetch(name, self._entry(name))

    def local(self, name: str) -> Path:
        """A local file with a file's content, checked once (BadInput)."""
        entry = self._entry(name)
        if name not in self._verified:
            self._verified[name] = Cached(self.store).local(name, entry)
        return self._verified[name]

    def folder(self, prefix: str = "") -> Path:
        """A local folder with every file under `prefix` ("" or "transformer/"), each checked once (BadInput)."""
        files = {name: entry for name, entry in self.manifest.files.items() if name.startswith(prefix)}
        if not files:
            raise BadInput(f"{self.uri}: wanted files under {prefix!r}, found none in its manifest")
        unseen = {name: entry for name, entry in files.items() if name not in self._verified}
        folder = Cached(self.store).folder(prefix, unseen)
        self._verified |= {name: folder / name.removeprefix(prefix) for name in unseen}
        return folder

    def facts(self, kind: type[F]) -> F:
        """What its manifest says beside the files, as artifacts of a kind do (BadInput)."""
        try:
            return kind.restore(self.manifest.facts, f"{self.uri}/{MANIFEST}: facts")
        except Misdescribed as error:
            raise BadInput(str(error)) from error

    def _entry(self, name: str) -> FileEntry:
        if name not in self.manifest.files:
            raise BadInput(f"{self.uri}: wanted the file {name!r}, its manifest names none of that name")
        return self.manifest.files[name]


def begin(uri: str, kind: str, digest: str, inputs: Mapping[str, str]) -> Writer:
    """Claim a place for an artifact; BadInput when it belongs to another digest or holds foreign files."""
    store, claim = store_at(uri), Claim(kind=kind, digest=digest)
    if store.get(CLAIM, MOST_BYTES) is None:
        foreign = next(iter(store.keys()), None)
        # Looked at again after the keys, for every writer claims first.
        if foreign and store.get(CLAIM, MOST_BYTES) is None:
            raise BadInput(f"{uri}: wanted an empty place or one of {kind} {digest[:16]}, found {foreign}")
    if not store.put_new(CLAIM, to_json(claim)):
        found = from_json(Claim, read(store, CLAIM, MOST_BYTES), f"{uri}/{CLAIM}")
        if found != claim:
            raise BadInput(
                f"{uri}: wanted the place of {kind} {digest[:16]}, found that of {found.kind} {found.digest[:16]}"
            )
    return Writer(store, claim, inputs)


def find_artifact(uri: str, at_most: int = MANIFEST_BYTES) -> Artifact | None:
    """The artifact at a URI, or None while it is not whole.

    BadInput for a model of another content than it says, TooLarge for a manifest of more bytes than that.
    """
    store = store_at(uri)
    data = store.get(MANIFEST, at_most)
    if data is None:
        return None
    manifest = from_json(Manifest, data, f"{uri}/{MANIFEST}")
    wanted = content_digest(manifest.files) if manifest.kind == MODEL else manifest.digest
    if manifest.digest != wanted:
        raise BadInput(f"{uri}/{MANIFEST}: wanted the digest of its files, {wanted[:16]}, found {manifest.digest[:16]}")
    return Artifact(store, manifest, FileEntry.of(data).sha256)


def open_artifact(uri: str, kinds: str | Iterable[str]) -> Artifact:
    """The whole artifact at a URI, of one of the wanted kinds; BadInput otherwise."""
    return of_kind(find_artifact(uri), uri, kinds)


def of_kind(artifact: Artifact | None, uri: str, kinds: str | Iterable[str]) -> Artifact:
    """What was found at a URI, if it is an artifact of one of the wanted kinds; BadInput otherwise."""
    wanted = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    if artifact is None:
        raise BadInput(f"{uri}: wanted an artifact of kind {' or '.join(wanted)}, found no {MANIFEST}")
    if artifact.manifest.kind not in wanted:
        raise BadInput(f"{uri}: wanted an artifact of kind {' or '.join(wanted)}, found {artifact.manifest.kind}")
    return artifact
