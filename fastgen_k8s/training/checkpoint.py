"""Training checkpoints: DCP folders that are whole or absent, written in the background, resumed on any world.

A group of processes writes under a prefix of its own, `checkpoints/<prefix>/<step>/`, and then puts
`checkpoints/step-<step>.json`, which names the files that count. What no such manifest names is garbage.
"""

import re
import secrets
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import structlog
import torch
from pydantic import Field, JsonValue
from torch import Tensor, nn

from fastgen_k8s.artifacts import Artifact, Cached, FileEntry, Store, find_artifact, read, store_at
from fastgen_k8s.artifacts.manifest import MOST_BYTES, Files, from_json, to_json
from fastgen_k8s.artifacts.names import FilePart
from fastgen_k8s.config import Config
from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.dcp_whole import read_whole
from fastgen_k8s.printable import shown
from fastgen_k8s.training.parallel import World, agree, first
from fastgen_k8s.training.state import TrainingState

log = structlog.get_logger()
FOLDER = "checkpoints"
MOST_STEPS = 2**53
_LOOKS = 5  # for a checkpoint that is not pruned while it is read
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
        return _folder(self.prefix, self.step)


class Checkpoints:
    """Writes the checkpoints of one group of processes, one at a time, while training goes on."""

    def __init__(self, store: Store, world: World, prefix: str, keep: int, facts: Mapping[str, JsonValue]) -> None:
        self.store, self.world, self.prefix, self.keep, self.facts = store, world, prefix, keep, facts
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._pending: Future[None] | None = None
        self._newest: int | None = None  # step of the last one begun
        self.last: int | None = None  # step of the last one that is whole

    def save(self, state: TrainingState) -> None:
        """Copy the state and write it in the background; the one before is waited for."""
        if self._newest == state.step:
            return
        self.wait()
        staged = {name: value.detach().to("cpu", copy=True) for name, value in tensors(state).items()}
        self._newest, self._pending = (
            state.step,
            self._thread.submit(self._write, staged, state.step, dict(state.streaks)),
        )

    def wait(self) -> None:
        """Return when nothing is being written; StoreFailed when it could not be."""
        if self._pending is not None:
            self._pending.result()

    @property
    def failed(self) -> bool:
        """Whether the last write has ended badly; `wait` says how."""
        return self._pending is not None and self._pending.done() and self._pending.exception() is not None

    def _write(self, staged: dict[str, Tensor], step: int, streaks: dict[str, int]) -> None:
        from fastgen_k8s.networks.dcp import write_parts  # takes a second, and who reads one role never needs it

        prefix = _folder(self.prefix, step)
        folder = agree(self.world, lambda: Cached(self.store).draft(prefix))[self.world.rank]
        write_parts(staged, folder, self.world.background)
        parts = agree(self.world, lambda: self._published(prefix, folder))
        files = {f"{prefix}/{name}": entry for part in parts for name, entry in part.items()}
        manifest = Checkpoint(prefix=self.prefix, step=step, facts=self.facts, streaks=streaks, files=files)
        first(self.world, lambda: self._commit(manifest))

    def _published(self, prefix: str, folder: Path) -> dict[str, FileEntry]:
        mine = _entries(folder, self.world.rank)
        Cached(self.store).publish(prefix, mine)
        return mine

    def _commit(self, manifest: Checkpoint) -> None:
        if self.store.put_new(_manifest(manifest.step), to_json(manifest)):
            log.info("checkpoint written", step=manifest.step)
        else:
            log.warning("another group has written this checkpoint; this copy is dropped", step=manifest.step)
            for name in manifest.files:
                self.store.delete(name)
        self.last = manifest.step
        prune(self.store, self.keep)


def tensors(state: TrainingState) -> dict[str, Tensor]:
    """All that is saved, by name, sharing the state's memory; counts are tensors so that no pickle is needed."""
    found = {"step": torch.tensor(state.step)}
    for name, role in state.roles.items():
        found[f"{name}.updates"] = torch.tensor(role.updates)
        found |= {f"{name}.weights.{key}": value for key, value in weights(role.module).items()}
        for key in role.named:
            moments = role.moments(key)
            found[f"{name}.exp_avg.{key}"] = moments["exp_avg"]
            found[f"{name}.exp_avg_sq.{key}"] = moments["exp_avg_sq"]
    for name, average in state.averages.items():
        found |= {f"{name}.ema.{key}": value for key, value in average.means.items()}
    return found


def weights(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers, each once, sharing the module's memory.

    It is `state_dict` that brings a sharded module back to its shards: after a forward without a backward some of its
    parameters are still whole, and such a copy dies with the next use of the module.
    """
    saved: Mapping[str, Tensor] = module.state_dict()
    names = [name for name, _ in (*module.named_parameters(), *module.named_buffers())]
    return {name: saved[name] for name in names if name in saved}


def resume(store: Store, state: TrainingState, world: World) -> bool:
    """Load the newest whole checkpoint into the state; False when there is none yet.

    Rank 0 alone chooses; each node reads it once. BadInput when checkpoints were committed and none of them verifies.
    """
    chosen, folder = _chosen(store, world)
    if chosen is None:
        return False
    from fastgen_k8s.networks.dcp import read_into

    into = tensors(state)
    read_into(into, folder, world.background)
    state.step = int(into["step"])
    state.streaks.update(chosen.streaks)
    for name, role in state.roles.items():
        role.has_made(int(into[f"{name}.updates"]))
    return True


def _chosen(store: Store, world: World) -> tuple[Checkpoint | None, Path]:
    """The newest whole checkpoint and a local folder with its files; another group may prune it while it is read."""
    for _ in range(_LOOKS - 1):
        chosen = first(world, lambda: newest(store, forget_torn=True))
        if chosen is None:
            return None, Path()
        with suppress(BadInput):
            return chosen, _everywhere(store, chosen, world)
    chosen = first(world, lambda: newest(store, forget_torn=True))
    return chosen, Path() if chosen is None else _everywhere(store, chosen, world)


def _everywhere(store: Store, chosen: Checkpoint, world: World) -> Path:
    """This process's folder with a checkpoint's files; BadInput for all when one of them finds something else."""
    return agree(world, lambda: Cached(store).folder(chosen.folder, chosen.files))[world.rank]


def newest(store: Store, *, forget_torn: bool = False) -> Checkpoint | None:
    """The newest checkpoint that verifies; None when none is committed, BadInput when none that is verifies.

    A torn one that is passed over can be forgotten, so that the run may write that step again.
    """
    for _ in range(_LOOKS):
        found, torn, pruned = _look(store)
        if found is not None:
            for name in torn if forget_torn else ():
                store.delete(name)
            return found
        if not pruned:
            break
    else:
        raise BadInput(f"{store.uri}/{FOLDER}: wanted a checkpoint, found {_LOOKS} times that another was pruned")
    if torn:
        raise BadInput(f"{store.uri}/{FOLDER}: wanted a checkpoint that verifies, found {len(torn)} that do not")
    return None


def _look(store: Store) -> tuple[Checkpoint | None, list[str], bool]:
    """The newest that verifies, the manifests of those that do not, and whether one was pruned while it was read."""
    torn, pruned = list[str](), False
    for name in reversed(_manifests(store)):
        try:
            found = from_json(Checkpoint, read(store, name, MOST_BYTES), f"{store.uri}/{name}")
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
    return from_json(Checkpoint, read(store, _manifest(step), MOST_BYTES), f"{store.uri}/{_manifest(step)}")


def group_prefix(store: Store) -> str:
    """A name for what a new group of processes writes: no other group draws it, and it sorts after earlier ones."""
    earlier = {name.split("/")[1].split("-")[0] for top in (FOLDER, "log") for name in store.keys(f"{top}/")}
    last = max((int(number) for number in earlier if number.isdigit()), default=0)
    return f"{last + 1:04d}-{secrets.token_hex(4)}"


def load_role(source: Artifact | str, role: str, weights: Literal["raw", "ema"]) -> tuple[dict[str, Tensor], int]:
    """One role's whole weights on the CPU under diffusers' keys, and their step, from a training artifact.

    A URI may also be that of a training that has not ended: then its newest whole checkpoint counts.
    """
    artifact = find_artifact(source) if isinstance(source, str) else source
    if artifact is not None:
        folder, step = verified_folder(artifact), _as_step(artifact)
    else:
        store = store_at(str(source))
        found = newest(store)
        if found is None:
            raise BadInput(f"{source}: wanted a training or its checkpoints, found none")
        folder, step = Cached(store).folder(found.folder, found.files), found.step
    part = "ema" if weights == "ema" else "weights"
    state = read_whole(folder, f"{role}.{part}.")
    if not state:
        raise BadInput(f"{folder}: wanted {weights} weights of the role {role!r}, found none")
    return {_diffusers_key(name): value for name, value in state.items()}, step


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


def _readable(store: Store, name: str) -> Checkpoint | None:
    """A manifest, if it is one and another group has not pruned it meanwhile."""
    try:
        return from_json(Checkpoint, read(store, name, MOST_BYTES), f"{store.uri}/{name}")
    except BadInput:
        return None


def _entries(folder: Path, rank: int) -> dict[str, FileEntry]:
    """The files that a rank wrote."""
    mine = [*folder.glob(f"__{rank}_*"), *(folder.glob(".metadata") if rank == 0 else ())]
    return {path.name: FileEntry.of_file(path) for path in mine}


def verified_folder(artifact: Artifact) -> Path:
    """The folder of a training's checkpoint, every file checked (BadInput)."""
    folders = {name.rpartition("/")[0] for name in artifact.manifest.files if name.startswith(f"{FOLDER}/")}
    if len(folders) != 1:
        found = ", ".join(sorted(folders)) or "none"
        raise BadInput(f"{artifact.uri}: wanted a training with its checkpoint, found {found} in its manifest")
    return artifact.folder(f"{folders.pop()}/")


def _as_step(artifact: Artifact) -> int:
    step = artifact.fact("step")
    if not isinstance(step, int):
        raise BadInput(f"{artifact.uri}: wanted the fact 'step' as a whole number, found {shown(step)}")
    return step


def _diffusers_key(name: str) -> str:
    """A wrapper holds its transformer under `transformer.`, a residual score one level deeper."""
    return name.removeprefix("network.").removeprefix("transformer.")


def _verify(store: Store, checkpoint: Checkpoint) -> None:
    if f"{checkpoint.folder}/.metadata" not in checkpoint.files:
        raise BadInput(f"{store.uri}/{checkpoint.folder}: wanted a checkpoint, found no .metadata in its manifest")
    Cached(store).folder(checkpoint.folder, checkpoint.files)


def _manifests(store: Store) -> list[str]:
    """The manifests of checkpoints in order; what else lies beside them is nobody's."""
    return sorted((name for name in store.keys(f"{FOLDER}/step-") if _MANIFEST.fullmatch(name)), key=_step)


def _manifest(step: int) -> str:
    return f"{FOLDER}/step-{step:08d}.json"


def _step(manifest: str) -> int:
    return int(manifest.removeprefix(f"{FOLDER}/step-").removesuffix(".json"))


def _folder(prefix: str, step: int) -> str:
    return f"{FOLDER}/{prefix}/{step:08d}"
