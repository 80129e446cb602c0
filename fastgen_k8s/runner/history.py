"""`run.json` beside the stages: the status of each, as a cluster has it, and its times; hashed by nobody."""

import json
import platform
from collections.abc import Mapping
from importlib import metadata

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.artifacts.manifest import MOST_BYTES, from_json
from fastgen_k8s.config import Config
from fastgen_k8s.errors import Stopped
from fastgen_k8s.lifecycle.fold import failed
from fastgen_k8s.lifecycle.status import Outcome, StageStatus, rfc3339
from fastgen_k8s.pipeline.resolve import Resolved

NAME = "run.json"
_PACKAGES = ("fastgen-k8s", "torch", "diffusers", "transformers", "torchx-nightly")
_PASSING: dict[str, None] = {
    "progress": None,
    "progressedAt": None,
    "checkpoint": None,
}  # who looks, asks the stage


class Attempt(Config):
    """One job of a stage, as the version before wrote it down; times are seconds since 1970."""

    started: float
    ended: float | None = None
    code: int | None = None


class StageHistory(Config):
    """What became of a stage's present digest."""

    kind: str
    experiment: str
    digest: str
    output: str
    seconds: float = 0.0  # of all attempts that have ended
    status: StageStatus | None = None
    attempts: tuple[Attempt, ...] | None = None  # of the version before, which had no status

    def standing(self, name: str) -> StageStatus:
        """The status in which it was left."""
        return self.status or _by_attempts(name, self.attempts or ())


class RunHistory(Config):
    """Everything that `run.json` says."""

    pipeline: str
    versions: Mapping[str, str]
    machine: str
    stages: Mapping[str, StageHistory] = {}


class History:
    """The history of a root in which the `stages` of a pipeline are run."""

    def __init__(self, root: str, pipeline: str, stages: Mapping[str, Resolved]) -> None:
        self._store, self._stages = store_at(root), stages
        new = RunHistory(pipeline=pipeline, versions=_versions(), machine=f"{platform.system()} {platform.machine()}")
        earlier = read_history(root) or new
        self._run = new.model_copy(update={"stages": earlier.stages})
        self.seconds = {name: self._of(name).seconds for name in stages}

    def left(self, name: str) -> StageStatus:
        """The status in which a stage was left."""
        return self._of(name).standing(name)

    def note(self, standing: Mapping[str, StageStatus]) -> None:
        """Write down how some stages stand, if that is news; what else was run here stays, behind the pipeline."""
        ours = {name: self._with(name, status) for name, status in standing.items()}
        known = {**self._run.stages, **ours}
        ordered = {name: known[name] for name in self._stages if name in known}
        run = self._run.model_copy(update={"stages": ordered | known})
        if _lasting(run) != _lasting(self._run):
            text = json.dumps(run.model_dump(mode="json", exclude_none=True), indent=1) + "\n"
            self._store.put(NAME, text.encode())
        self._run = run

    def _of(self, name: str) -> StageHistory:
        was, stage = self._run.stages.get(name), self._stages[name]
        if was is not None and was.digest == stage.digest:
            return was
        kind, experiment = stage.work.kind, stage.work.experiment
        return StageHistory(kind=kind, experiment=experiment, digest=stage.digest, output=stage.output)

    def _with(self, name: str, status: StageStatus) -> StageHistory:
        update = {"seconds": round(self.seconds[name], 3), "status": status, "attempts": None}
        return self._of(name).model_copy(update=update)


def read_history(root: str) -> RunHistory | None:
    """The history of a root; None where nothing was run."""
    data = store_at(root).get(NAME, MOST_BYTES)
    return from_json(RunHistory, data, f"{root}/{NAME}") if data else None


def _by_attempts(name: str, attempts: tuple[Attempt, ...]) -> StageStatus:
    """How a stage stands by the last of its jobs, while its artifact is not there."""
    if not attempts:
        return StageStatus(name=name)
    last = attempts[-1]
    begun = StageStatus(name=name, state="Running", attempt=len(attempts), startedAt=rfc3339(last.started))
    if last.ended is None:
        return begun
    if last.code in (None, 0, Stopped.code):
        return begun.model_copy(update={"state": "Waiting", "finishedAt": rfc3339(last.ended)})
    said = {"state": "Failed", "message": f"failed with exit code {last.code}"}
    return failed(begun, Outcome.of(last.code, ""), last.ended).model_copy(update=said)


def _lasting(run: RunHistory) -> object:
    """What is news when it changes."""
    stages = run.stages.items()
    return [(name, one.seconds, one.standing(name).model_copy(update=_PASSING)) for name, one in stages]


def _versions() -> dict[str, str]:
    installed = {distribution.name.lower(): distribution.version for distribution in metadata.distributions()}
    python = {"python": platform.python_version()}
    return python | {name: installed[name] for name in _PACKAGES if name in installed}
