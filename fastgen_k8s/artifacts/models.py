"""A teacher's folder as a `model` artifact: every file hashed, the digest that of the whole content."""

from collections.abc import Mapping
from pathlib import Path

from fastgen_k8s.artifacts.artifact import begin
from fastgen_k8s.artifacts.facts import ModelFacts
from fastgen_k8s.artifacts.links import files_below
from fastgen_k8s.artifacts.manifest import CLAIM, MANIFEST, MODEL, FileEntry, Manifest, content_digest
from fastgen_k8s.artifacts.names import is_name
from fastgen_k8s.artifacts.teacher import PARTS, Given, check_parts
from fastgen_k8s.errors import BadInput


def add_model(folder: Path, uri: str, origin: Mapping[str, str] = {}, *, follow_links: bool = False) -> Manifest:
    """Copy a diffusers folder to `uri` and commit it, its origin as facts.

    BadInput, before anything is copied, without a part that we read or with a file that no stage could.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder}: wanted a diffusers folder, found {'a file' if folder.exists() else 'nothing'}")
    files = {
        name: path
        for name, path in files_below(folder, anywhere=follow_links).items()
        if name not in (CLAIM, MANIFEST)  # an artifact's own
    }
    file = next((part for part in PARTS if part in files), None)
    if file is not None:  # a link that was checked out as a text, often
        raise BadInput(f"{folder / file}: wanted a folder, found a file")
    parts = [part for part in PARTS if (folder / part).is_dir()]
    if not parts:
        raise BadInput(f"{folder}: wanted a diffusers folder with {', '.join(PARTS)}, found none of them")
    odd = next((name for name in files if not is_name(name)), None)
    if odd is not None:
        raise BadInput(f"{folder}: wanted names without backslash and control characters, found {odd!r}")
    check_parts(parts, Given(files, str(folder)))
    entries = {name: FileEntry.of_file(path) for name, path in files.items()}
    writer = begin(uri, MODEL, content_digest(entries), {})
    for name, path in files.items():
        writer.store.upload(name, path, entries[name])
    writer.add(entries)
    return writer.commit(ModelFacts.parse({"parts": parts, **origin}, uri).said())
