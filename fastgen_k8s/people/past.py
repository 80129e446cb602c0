"""How a stage stands by what a runner noted of it and by what there is now. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from fastgen_k8s.artifacts.progress import Progress
from fastgen_k8s.errors import Stopped
from fastgen_k8s.runner.history import StageHistory
from fastgen_k8s.view.progress import shown as in_words
from fastgen_k8s.view.rows import StageRow, clock


@dataclass(frozen=True)
class PastSeen:
    """What is found of a stage beside its history."""

    whole: bool = False  # its artifact is there
    works: bool = False  # an agent of it is alive on this machine
    remote: bool = False  # one may be alive on another
    progress: Progress = field(default_factory=Progress)
    said: str = ""  # the last error of its log


def row(name: str, stage: StageHistory, seen: PastSeen, now: datetime) -> StageRow:
    """The stage as a row."""
    state = state_of(stage, seen)
    last = stage.attempts[-1] if stage.attempts else None
    took = None if last is None else stage.seconds
    shown = StageRow(name, stage.kind, state, took, attempt=len(stage.attempts))
    if last is None or state == "done":
        return shown
    shown = replace(shown, began=clock(last.started, now))
    if state == "running":
        words = [in_words(seen.progress), "" if seen.works else "on another machine"]
        took = now.timestamp() - last.started
        return replace(shown, seconds=took, note=", ".join(filter(None, words)), share=seen.progress.share)
    if state == "failed":
        return replace(shown, note=f"exit code {last.code}" + (f": {seen.said}" if seen.said else ""))
    return replace(shown, note="the same run goes on where it was")


def state_of(stage: StageHistory, seen: PastSeen) -> str:
    """Where a stage is between waiting and done."""
    last = stage.attempts[-1] if stage.attempts else None
    if seen.whole:
        return "done"
    if last is None:
        return "running" if seen.works else "waiting"
    if seen.works or (seen.remote and last.ended is None):
        return "running"
    return "stopped" if last.code in (None, Stopped.code) else "failed"


def code(stages: Mapping[str, StageHistory], seen: Mapping[str, PastSeen], alive: bool) -> int | None:
    """The exit code of a run: 0 when everything is there, the failed stage's when nobody is `alive` to try again."""
    states = {name: state_of(stage, seen[name]) for name, stage in stages.items()}
    if all(state == "done" for state in states.values()):
        return 0
    failed = next((stages[name].attempts[-1] for name, state in states.items() if state == "failed"), None)
    return None if failed is None or alive else failed.code or 1
