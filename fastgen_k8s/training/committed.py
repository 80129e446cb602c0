"""Which checkpoints of a run are whole: each has a manifest, and what none names is garbage.

`checkpoints/step-<step>.json` names the files that count, below `checkpoints/<prefix>/<step>/`.
"""

import re
import secrets
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, JsonValue

from fastgen_k8s import log
from fastgen_k8s.artifacts import Cached, Store, read
from fastgen_k8s.artifacts.manifest import MOST_BYTES, Files, from_json
from fastgen_k8s.artifacts.names import FilePart
from fastgen_k8s.config import Config
from fastgen_k8s.errors import BadInput

FOLDER = "checkpoints"
LOOKS = 5  # for a checkpoint that is not pruned while it is read
MOST_STEPS = 2**53
_MANIFEST = re.compile(rf"{FOLDER}/step-\d+\.json")


class Checkpoint(Config):
    """The manifest of one checkpoint; its presence makes the checkpoint whole."""

    prefix: FilePart  # of the group of processes that wrote it
    step: Annotated[int, Field(ge=0, le=MOST_STEPS)]
    facts: Mapping[str, JsonValue] = {}  # as those of the final artifact
    streaks: Annotated[Mapping[str, int], Field(max_length=1024)] = {}  # how often in a row each bound was broken
    files: Files

    @property
    def folder(self) -> str:
        """Where its files are, under the artifact."""
        return folder_of(self.prefix, self.step)


def newest(store: Store, *, forget_torn: bool = False) -> Checkpoint | None:
    """The newest checkpoint that verifies; None when none is committed, BadInput when none that is verifies.

    A torn one that is passed over can be forgotten, so that the run may write that step again.
    """
    for _ in range(LOOKS):
        found, torn, pruned = _look(store)
        if found is not None:
            for name in torn if forget_torn else ():
                store.delete(name)
            return found
        if not pruned:
            break
    else:
        raise BadInput(f"{store.uri}/{FOLDER}: wanted a checkpoint, found {LOOKS} times that another was pruned")
    if torn:
        raise BadInput(f"{store.uri}/{FOLDER}: wanted a checkpoint that verifies, found {len(torn)} that do not")
    return None


def _look(store: Store) -> tuple[Checkpoint | None, list[str], bool]:
    """The newest that verifies, the manifests of those that do not, and whether one was pruned while it was read."""
    torn, pruned = list[str](), False
    for name in reversed(_manifests(store)):
        try:
            found = _read(store, name)
            _verify(store, found)
        except BadInput as error:
            if name not in store.keys(name):
                pruned = True
                continue
            log.warning("a checkpoint does not verify and is passed over", reason=str(error))
            torn.append(name)
            continue
        return found, torn, pruned
    return None, torn, pruned


def committed(store: Store, step: int) -> Checkpoint:
    """The checkpoint of a step that counts, whoever wrote it (BadInput when there is none)."""
    return _read(store, manifest_file(step))


def group_prefix(store: Store) -> str:
    """A name for what a new group of processes writes: no other group draws it, and it sorts after earlier ones."""
    earlier = {name.split("/")[1].split("-")[0] for top in (FOLDER, "log") for name in store.keys(f"{top}/")}
    last = max((int(number) for number in earlier if number.isdigit()), default=0)
    return f"{last + 1:04d}-{secrets.token_hex(4)}"


def prune(store: Store, keep: int) -> None:
    """Keep the newest checkpoints; remove what is older, torn manifests and garbage too.

    What is younger than the oldest that is kept stays: this process may have been stopped for long, and others have
    written since it looked.
    """
    whole = {name: found for name in _manifests(store) if (found := _readable(store, name)) is not None}
    kept = dict(list(whole.items())[-keep:])
    named = {name for checkpoint in kept.values() for name in checkpoint.files}
    oldest = min((checkpoint.step for checkpoint in kept.values()), default=0)
    for name in _manifests(store):
        if _step(name) < oldest:
            store.delete(name)
    for name in store.keys(f"{FOLDER}/"):
        folder = name.removeprefix(f"{FOLDER}/").split("/")
        if len(folder) == 3 and folder[1].isdecimal() and int(folder[1]) < oldest and name not in named:
            store.delete(name)


def _read(store: Store, name: str) -> Checkpoint:
    return from_json(Checkpoint, read(store, name, MOST_BYTES), f"{store.uri}/{name}")


def _readable(store: Store, name: str) -> Checkpoint | None:
    """A manifest, if it is one and another group has not pruned it meanwhile."""
    try:
        return _read(store, name)
    except BadInput:
        return None


def _verify(store: Store, checkpoint: Checkpoint) -> None:
    if f"{checkpoint.folder}/.metadata" not in checkpoint.files:
        raise BadInput(f"{store.uri}/{checkpoint.folder}: wanted a checkpoint, found no .metadata in its manifest")
    Cached(store).folder(checkpoint.folder, checkpoint.files)


def _manifests(store: Store) -> list[str]:
    """The manifests of checkpoints in order; what else lies beside them is nobody's."""
    return sorted((name for name in store.keys(f"{FOLDER}/step-") if _MANIFEST.fullmatch(name)), key=_step)


def manifest_file(step: int) -> str:
    """Where the manifest of a step's checkpoint is."""
    return f"{FOLDER}/step-{step:08d}.json"


def _step(manifest: str) -> int:
    return int(manifest.removeprefix(f"{FOLDER}/step-").removesuffix(".json"))


def folder_of(prefix: str, step: int) -> str:
    """Where a group of processes puts the files of a step's checkpoint."""
    return f"{FOLDER}/{prefix}/{step:08d}"
