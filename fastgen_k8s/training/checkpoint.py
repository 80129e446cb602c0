"""Training checkpoints: DCP folders that are whole or absent, written in the background, resumed on any world.

A group of processes writes under a prefix of its own, and then puts the manifest (committed.py).
"""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Literal

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from fastgen_k8s import log
from fastgen_k8s.artifacts import Artifact, Cached, FileEntry, Store
from fastgen_k8s.artifacts.facts import TrainingFacts
from fastgen_k8s.artifacts.manifest import to_json
from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.dcp import read_into, read_whole, write_parts
from fastgen_k8s.training.committed import FOLDER, LOOKS, Checkpoint, folder_of, manifest_file, newest, prune
from fastgen_k8s.training.parallel import World, agree, first
from fastgen_k8s.training.state import TrainingState


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
        prefix = folder_of(self.prefix, step)
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
        if self.store.put_new(manifest_file(manifest.step), to_json(manifest)):
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
    into = tensors(state)
    agree(world, lambda: read_into(into, folder))
    state.step = int(into["step"])
    state.streaks.update(chosen.streaks)
    for name, role in state.roles.items():
        role.has_made(int(into[f"{name}.updates"]))
    return True


def _chosen(store: Store, world: World) -> tuple[Checkpoint | None, Path]:
    """The newest whole checkpoint and a local folder with its files; another group may prune it while it is read."""
    for _ in range(LOOKS - 1):
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


def load_role(artifact: Artifact, role: str, weights: Literal["raw", "ema"]) -> tuple[dict[str, Tensor], int]:
    """One role's whole weights on the CPU under diffusers' keys, and their step, from a training's artifact."""
    folder, step = verified_folder(artifact), artifact.facts(TrainingFacts).step
    if step is None:
        raise BadInput(f"{artifact.uri}: wanted the step of a training in its facts, found none")
    state = read_whole(folder, f"{role}.{'ema' if weights == 'ema' else 'weights'}.")
    if not state:
        raise BadInput(f"{folder}: wanted {weights} weights of the role {role!r}, found none")
    return {_diffusers_key(name): value for name, value in state.items()}, step


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


def _diffusers_key(name: str) -> str:
    """A wrapper holds its transformer under `transformer.`, a residual score one level deeper."""
    return name.removeprefix("network.").removeprefix("transformer.")
