"""A pipeline below a root, as its runner keeps it there: `run.json`, artifacts, progress and logs."""

from datetime import datetime
from pathlib import Path

from fastgen_k8s.artifacts import find_artifact
from fastgen_k8s.artifacts.progress import Progress
from fastgen_k8s.errors import BadInput
from fastgen_k8s.people.files import lines_of
from fastgen_k8s.people.past import PastSeen, code, row
from fastgen_k8s.people.source import StageLog
from fastgen_k8s.pipeline.resolve import place
from fastgen_k8s.runner import processes
from fastgen_k8s.runner.history import NAME, RunHistory, StageHistory, read_history
from fastgen_k8s.runner.lock import holder
from fastgen_k8s.runner.root import Root
from fastgen_k8s.runner.words import last_words
from fastgen_k8s.view.progress import progress_of
from fastgen_k8s.view.rows import PipelineView


class LocalRoot:
    """The pipeline that was run last below a root."""

    def __init__(self, given: str) -> None:
        self._root = Root.parse(given)

    def look(self) -> PipelineView:
        """How it stands now."""
        history, runner, working = self._history(), holder(self._root.here), self._working()
        now = datetime.now().astimezone()
        seen = {name: self._seen(name, self._place(name, stage), working) for name, stage in history.stages.items()}
        return PipelineView(
            rows=tuple(row(name, stage, seen[name], now) for name, stage in history.stages.items()),
            heading=f"{self._root.uri}: {history.pipeline}",
            notes=() if runner is None else (f"run by process {runner}",),
            code=code(history.stages, seen, alive=runner is not None or bool(working)),
        )

    def log(self, stage: str, follow: bool) -> StageLog:
        """What the agents of a stage's last job say."""
        folder, history = self._newest_log(stage), self._history().stages[stage]
        output = self._place(stage, history)
        if folder is None:
            return StageLog(lost="its logs are gone" if history.attempts else "it has no logs")
        return StageLog(lines_of(folder, follow, lambda: output in self._working()))

    def place(self, stage: str) -> str:
        """Where a stage's artifact is: a root may have been moved since."""
        return self._place(stage, self._history().stages[stage])

    def _place(self, name: str, stage: StageHistory) -> str:
        return place(self._root.uri, name, stage.digest)

    def _history(self) -> RunHistory:
        history = read_history(self._root.uri)
        if history is None:
            raise BadInput(f"{self._root.uri}: wanted the {NAME} of a run, found none")
        return history

    def _working(self) -> frozenset[str]:
        """The outputs of the stages for which an agent works on this machine."""
        return frozenset(agent.output for agent in processes.find(self._root.uri))

    def _seen(self, stage: str, output: str, working: frozenset[str]) -> PastSeen:
        whole = find_artifact(output) is not None
        return PastSeen(
            whole=whole,
            works=output in working,
            remote=self._root.remote,
            progress=Progress() if whole else progress_of(output),
            said="" if whole else self._said(stage),
        )

    def _said(self, stage: str) -> str:
        """The error line that an agent of the stage's last job wrote, if one did."""
        folder = self._newest_log(stage)
        logs = [] if folder is None else sorted(folder.glob("*/*/stderr.log"))
        errors = [words[0] for words in map(last_words, logs) if len(words) == 1]
        return errors[0] if errors else ""

    def _newest_log(self, stage: str) -> Path | None:
        return max(self._root.logs(stage).glob("*/*"), key=lambda folder: folder.stat().st_mtime, default=None)
