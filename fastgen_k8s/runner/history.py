"""`run.json` beside the stages: when each ran and how it ended, for the report and for people; hashed by nobody."""

import json
import platform
import time
from collections.abc import Collection, Mapping
from importlib import metadata

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.artifacts.manifest import MOST_BYTES, from_json
from fastgen_k8s.config import Config
from fastgen_k8s.pipeline.resolve import Resolved

NAME = "run.json"
_PACKAGES = ("fastgen-k8s", "torch", "diffusers", "transformers", "torchx-nightly")


class Attempt(Config):
    """One job of a stage; times are seconds since 1970."""

    started: float
    ended: float | None = None
    code: int | None = None


class StageHistory(Config):
    """The jobs that worked on a stage's present digest."""

    kind: str
    experiment: str
    digest: str
    output: str
    attempts: tuple[Attempt, ...] = ()
    seconds: float = 0.0  # of all attempts that have ended


class RunHistory(Config):
    """Everything that `run.json` says."""

    pipeline: str
    versions: Mapping[str, str]
    machine: str
    stages: Mapping[str, StageHistory] = {}


class History:
    """The history of a root, written after each change."""

    def __init__(self, root: str, pipeline: str) -> None:
        self._store = store_at(root)
        new = RunHistory(pipeline=pipeline, versions=_versions(), machine=_machine())
        earlier = read_history(root) or new
        self._run = new.model_copy(update={"stages": earlier.stages})

    def planned(self, stages: Mapping[str, Resolved], chosen: Collection[str]) -> None:
        """The stages that are to be run take their places in the pipeline's order; what else was run here stays."""
        before = dict(self._run.stages)
        now = before | {name: self._of(stage) for name, stage in stages.items() if name in chosen}
        ours = {name: now[name] for name in stages if name in now}
        if list(before.items())[: len(ours)] != list(ours.items()):
            self._write(ours | {name: was for name, was in before.items() if name not in ours})

    def started(self, stage: Resolved) -> None:
        """A job begins."""
        was = self._of(stage)
        self._put(stage, (*was.attempts, Attempt(started=round(time.time(), 3))))

    def ended(self, stage: Resolved, code: int | None, when: float | None = None) -> None:
        """The job that began last has ended; None: nobody saw how."""
        *before, last = self._of(stage).attempts or (None,)
        if isinstance(last, Attempt) and last.ended is None:
            closed = last.model_copy(update={"ended": round(when or time.time(), 3), "code": code})
            self._put(stage, (*[attempt for attempt in before if attempt], closed))

    def seconds(self, stage: Resolved) -> float:
        """How long the jobs of a stage's digest took together."""
        return self._of(stage).seconds

    def _of(self, stage: Resolved) -> StageHistory:
        was = self._run.stages.get(stage.stage.name)
        if was is not None and was.digest == stage.digest:
            return was
        kind, experiment = stage.work.kind, stage.work.experiment
        return StageHistory(kind=kind, experiment=experiment, digest=stage.digest, output=stage.output)

    def _put(self, stage: Resolved, attempts: tuple[Attempt, ...]) -> None:
        seconds = round(sum(attempt.ended - attempt.started for attempt in attempts if attempt.ended is not None), 3)
        new = self._of(stage).model_copy(update={"attempts": attempts, "seconds": seconds})
        self._write(dict(self._run.stages) | {stage.stage.name: new})

    def _write(self, stages: Mapping[str, StageHistory]) -> None:
        self._run = self._run.model_copy(update={"stages": stages})
        text = json.dumps(self._run.model_dump(mode="json"), indent=1) + "\n"
        self._store.put(NAME, text.encode())


def read_history(root: str) -> RunHistory | None:
    """The history of a root; None where nothing was run."""
    data = store_at(root).get(NAME, MOST_BYTES)
    return from_json(RunHistory, data, f"{root}/{NAME}") if data else None


def _versions() -> dict[str, str]:
    installed = {distribution.name.lower(): distribution.version for distribution in metadata.distributions()}
    python = {"python": platform.python_version()}
    return python | {name: installed[name] for name in _PACKAGES if name in installed}


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}"
