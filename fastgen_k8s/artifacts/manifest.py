"""What an artifact says of itself: kind, digest, inputs, facts, and every file with size and sha256."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, TypeVar, cast

from pydantic import BeforeValidator, Field, JsonValue

from fastgen_k8s.artifacts.names import MOST_FILES, FileName, Sha256, Size
from fastgen_k8s.config import Config, digest
from fastgen_k8s.errors import BadInput, Misdescribed, io_at

MANIFEST = "artifact.json"
CLAIM = "work.json"  # put before the first data: whose place this is
MODEL = "model"  # the kind whose digest is that of its content
MOST_BYTES = 16 << 20  # of a claim, and of a manifest where many are read: about 100,000 files
MANIFEST_BYTES = 256 << 20  # of an artifact's manifest where a stage or a person reads it


class TooLarge(BadInput):
    """More bytes than whoever reads them has room for."""


def check_size(size: int, at_most: int | None, where: str) -> None:
    """Raise TooLarge for more bytes than that."""
    if at_most is not None and size > at_most:
        raise TooLarge(f"{where}: wanted at most {at_most:,} bytes, found {size:,}")


def first_keys(keys: Iterable[str], at_most: int | None, where: str) -> list[str]:
    """Keys, sorted; TooLarge for more than that, of which no more are looked at."""
    found = list(keys if at_most is None else islice(keys, at_most + 1))
    if at_most is not None and len(found) > at_most:
        raise TooLarge(f"{where}: wanted at most {at_most:,} files, found more")
    return sorted(found)


class FileEntry(Config):
    """Size and content of one file."""

    size: Size
    sha256: Sha256

    @classmethod
    def of(cls, data: bytes) -> "FileEntry":
        """The entry of a file that holds `data`."""
        return cls(size=len(data), sha256=hashlib.sha256(data).hexdigest())

    @classmethod
    def of_pieces(cls, pieces: Iterable[bytes]) -> "FileEntry":
        """The entry of a file that comes piece by piece."""
        size, hashed = 0, hashlib.sha256()
        for piece in pieces:
            size += len(piece)
            hashed.update(piece)
        return cls(size=size, sha256=hashed.hexdigest())

    @classmethod
    def of_file(cls, path: Path) -> "FileEntry":
        """The entry of a local file, read piece by piece."""
        with io_at(path), path.open("rb") as file:
            return cls(size=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())

    def check_size(self, size: int, where: str) -> None:
        """Raise BadInput for another size than what was recorded."""
        if size != self.size:
            raise BadInput(f"{where}: wanted {self.size} bytes, found {size}")

    def check(self, found: "FileEntry", where: str) -> None:
        """Raise BadInput when what was found is not what was recorded."""
        self.check_size(found.size, where)
        if found.sha256 != self.sha256:
            raise BadInput(f"{where}: wanted sha256 {self.sha256[:16]}, found {found.sha256[:16]}")


ArtifactKind = Annotated[str, Field(max_length=63)]
Input = Annotated[str, Field(max_length=255)]


def _not_too_many(files: object) -> object:
    """Looked at before the files are: so many entries take their time."""
    if isinstance(files, Mapping) and len(cast("Mapping[object, object]", files)) > MOST_FILES:
        raise ValueError(f"wanted at most {MOST_FILES} files, found {len(cast('Mapping[object, object]', files))}")
    return cast(object, files)


Files = Annotated[Mapping[FileName, FileEntry], BeforeValidator(_not_too_many)]
"""Files by their names below the artifact."""


class Claim(Config):
    """Who writes, or wrote, an artifact here."""

    kind: ArtifactKind
    digest: Sha256


class Manifest(Config):
    """The last file of an artifact; its presence makes the artifact whole."""

    kind: ArtifactKind
    digest: Sha256  # of the work that made it, or of its content where no work did
    inputs: Annotated[Mapping[Input, Sha256], Field(max_length=1024)] = {}  # name -> digest
    facts: Mapping[str, JsonValue] = {}  # what later stages rely on and compare
    files: Files

    def to_json(self) -> bytes:
        """The manifest as written: sorted, so that equal manifests are equal bytes."""
        return to_json(self)


def content_digest(files: Mapping[str, FileEntry]) -> str:
    """The digest of an artifact that no work made: of what its files hold, by their names."""
    return digest({name: entry.sha256 for name, entry in files.items()})


def to_json(value: Config) -> bytes:
    """Canonical, readable JSON of a manifest, claim or index."""
    return (json.dumps(value.model_dump(mode="json"), indent=1, sort_keys=True) + "\n").encode()


C = TypeVar("C", bound=Config)


def from_json(model: type[C], data: bytes, where: str) -> C:
    """A manifest or claim from its bytes; BadInput when it is not one."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: wanted JSON, found {data[:40]!r}") from error
    try:
        return model.restore(value, where)
    except Misdescribed as error:
        raise BadInput(str(error)) from error
