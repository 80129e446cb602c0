"""A teacher's folder as a `model` artifact: every file hashed, the digest that of the whole content."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from fastgen_k8s.artifacts.artifact import begin
from fastgen_k8s.artifacts.manifest import CLAIM, MANIFEST, MODEL, FileEntry, Manifest, content_digest
from fastgen_k8s.artifacts.names import is_name
from fastgen_k8s.errors import BadInput

PARTS = ("transformer", "text_encoder", "tokenizer", "vae", "codec")


def add_model(folder: Path, uri: str, origin: Mapping[str, JsonValue] = {}) -> Manifest:
    """Copy a diffusers folder to `uri` and commit it, its origin as facts; BadInput without a part that we read."""
    if not folder.is_dir():
        raise BadInput(f"{folder}: wanted a diffusers folder, found {'a file' if folder.exists() else 'nothing'}")
    parts = [part for part in PARTS if (folder / part).is_dir()]
    if not parts:
        raise BadInput(f"{folder}: wanted a diffusers folder with {', '.join(PARTS)}, found none of them")
    files = _files(folder)
    odd = next((name for name in files if not is_name(name)), None)
    if odd is not None:
        raise BadInput(f"{folder}: wanted names without backslash and control characters, found {odd!r}")
    entries = {name: FileEntry.of_file(path) for name, path in files.items()}
    writer = begin(uri, MODEL, content_digest(entries), {})
    for name, path in files.items():
        writer.store.upload(name, path)
    writer.add(entries)
    return writer.commit({"parts": list[JsonValue](parts), **origin})


def _files(folder: Path) -> dict[str, Path]:
    """Every file by its name below the folder, without hidden ones and an artifact's own."""
    found = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name.as_posix(): path
        for name, path in found.items()
        if name.as_posix() not in (CLAIM, MANIFEST) and not any(part.startswith(".") for part in name.parts)
    }
