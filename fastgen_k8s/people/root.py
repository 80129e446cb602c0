"""A pipeline below a root, as its runner keeps it there: `run.json`, artifacts, progress and logs."""

import time
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from pathlib import Path

from fastgen_k8s.artifacts import find_artifact
from fastgen_k8s.errors import BadInput
from fastgen_k8s.lifecycle.conditions import code, outcome
from fastgen_k8s.lifecycle.decide import DONE, recorded
from fastgen_k8s.lifecycle.fold import Look, again, fold
from fastgen_k8s.lifecycle.status import LIVE, StageStatus, Status, rfc3339
from fastgen_k8s.people.source import Said, StageLog
from fastgen_k8s.pipeline.resolve import place
from fastgen_k8s.runner import processes
from fastgen_k8s.runner.history import NAME, RunHistory, read_history
from fastgen_k8s.runner.job import LocalJob, at_work
from fastgen_k8s.runner.lock import holder
from fastgen_k8s.runner.root import Root
from fastgen_k8s.view.rows import PipelineView
from fastgen_k8s.view.stage import row

_LOOK_EVERY = 0.2  # seconds
_FILES = "*/*/std*.log"  # role, replica; what joins both streams ends with the runner, these with the agent


class LocalRoot:
    """The pipeline that was run last below a root."""

    def __init__(self, given: str) -> None:
        self._root = Root.parse(given)

    def look(self) -> PipelineView:
        """How it stands now."""
        history, runner, now = self._history(), holder(self._root.here), datetime.now().astimezone()
        held, working = runner is not None, self._working()
        stages: dict[str, StageStatus] = {}
        for name, stage in history.stages.items():
            was, output = stage.standing(name), self._place(history, name)
            look = self._look(was, output, output in working, held)
            stages[name] = standing(was, look, now.timestamp(), held)
        status = Status(conditions=(outcome(tuple(stages.values()), 0, False, False),), stages=tuple(stages.values()))
        return PipelineView(
            rows=tuple(row(stages[name], one.kind, now, one.seconds) for name, one in history.stages.items()),
            heading=f"{self._root.uri}: {history.pipeline}",
            notes=() if runner is None else (f"run by process {runner}",),
            code=code(status, 0),
        )

    def log(self, stage: str, follow: bool) -> StageLog:
        """What the agents of a stage's last job say."""
        folder, history = self._newest_log(stage), self._history()
        output = self._place(history, stage)
        if folder is None:
            ran = history.stages[stage].standing(stage).attempt
            return StageLog(lost="its logs are gone" if ran else "it has no logs")
        return StageLog(lines_of(folder, follow, lambda: output in self._working()))

    def place(self, stage: str) -> str:
        """Where a stage's artifact is: a root may have been moved since."""
        return self._place(self._history(), stage)

    def _place(self, history: RunHistory, stage: str) -> str:
        return place(self._root.uri, stage, history.stages[stage].digest)

    def _history(self) -> RunHistory:
        history = read_history(self._root.uri)
        if history is None:
            raise BadInput(f"{self._root.uri}: wanted the {NAME} of a run, found none")
        return history

    def _working(self) -> Collection[str]:
        """The outputs of the stages for which an agent works on this machine."""
        return frozenset(agent.output for agent in processes.find(self._root.uri))

    def _look(self, was: StageStatus, output: str, works: bool, held: bool) -> Look:
        """What is found of a stage: of a job that `works` here, or of one that may live for all that can be seen."""
        artifact = find_artifact(output)
        if artifact is not None:
            return Look(facts=artifact.manifest.facts, sha256=artifact.sha256)
        live = was.state in LIVE
        if not works and not (live and (held or self._root.remote)):
            return Look()
        job = LocalJob(was.name, Path(output).name, output, 0.0, was.attempt + (not live))
        return at_work(job, None if works or held else "on another machine")

    def _newest_log(self, stage: str) -> Path | None:
        return max(self._root.logs(stage).glob("*/*"), key=lambda folder: folder.stat().st_mtime, default=None)


def standing(was: StageStatus, look: Look, now: float, held: bool) -> StageStatus:
    """How a stage stands by its status and what is found; `held`: its root has a runner, who will go on with it."""
    if look.facts is not None:
        return was if was.state == "Succeeded" else recorded(was, look, DONE, 0, rfc3339(now))
    stage = fold(again(was, same=False) if was.state == "Succeeded" else was, look, now)  # its artifact was removed
    if held or not stage.attempt or stage.state != "Waiting":
        return stage
    return stage.model_copy(update={"message": "the same run goes on where it was"})


def lines_of(job: Path, follow: bool, alive: Callable[[], bool]) -> Iterator[Said]:
    """The lines of all replicas of a job, each behind its replica's name; followed as long as the job is `alive`."""
    read: dict[Path, int] = {}  # bytes
    while True:
        more = follow and alive()  # asked before reading: what it wrote until now is read
        for path in sorted(job.glob(_FILES)):
            lines, read[path] = _new_lines(path, read.get(path, 0), whole=more)
            name = f"{path.parent.parent.name}/{path.parent.name}"
            yield from (Said(name, line) for line in lines)
        if not more:
            return
        time.sleep(_LOOK_EVERY)


def _new_lines(path: Path, begin: int, whole: bool) -> tuple[list[str], int]:
    """The lines of a file from a place on, without an unfinished last one if `whole`; and where they end."""
    with path.open("rb") as file:
        file.seek(begin)
        data = file.read()
    if whole:
        data = data[: data.rfind(b"\n") + 1]
    text = data.decode(errors="replace").removesuffix("\n")
    return text.split("\n") if data else [], begin + len(data)
