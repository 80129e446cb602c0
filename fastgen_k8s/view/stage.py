"""The status of a stage as people see it."""

from datetime import UTC, datetime

from fastgen_k8s.lifecycle.status import LIVE, StageProgress, StageStatus
from fastgen_k8s.view.rows import StageRow, clock, span


def row(stage: StageStatus, kind: str, now: datetime, took: float | None = None) -> StageRow:
    """A stage as a row; `took`: seconds of all its attempts together, where somebody has counted them."""
    live = stage.state in LIVE
    began, ended = _moment(stage.startedAt), _moment(stage.finishedAt)
    until = now.timestamp() if live else ended
    lasted = None if began is None or until is None else until - began
    return StageRow(
        stage=stage.name,
        kind=kind,
        state=stage.state.lower(),
        seconds=lasted if live or took is None or not stage.attempt else took,
        note="; ".join(filter(None, _words(stage, live))),
        attempt=stage.attempt,
        nodes=f"{stage.nodesReady}/{stage.nodes}" if live and stage.nodes else "",  # a laptop has none
        began="" if began is None else clock(began, now),
        share=_share(stage.progress) if live else None,
    )


def _words(stage: StageStatus, live: bool) -> list[str]:
    """How far a stage is, why it waits, how it ended."""
    ended = "" if stage.exitClass is None else stage.exitClass + (f" ({stage.exitCode})" if stage.exitCode else "")
    saved = "" if stage.checkpoint is None or stage.state == "Succeeded" else f"checkpoint {stage.checkpoint}"
    far = ", ".join(filter(None, [shown(stage.progress, live), saved]))
    message = stage.message or ""
    if live and stage.state != "Stopping":
        return [far, message, f"before: {ended}" if ended else ""]
    return [": ".join(filter(None, [ended, message])), far]


def shown(progress: StageProgress | None, live: bool) -> str:
    """How far a stage is: its steps and loss, and while it goes on how fast, and how long still."""
    if progress is None:
        return ""
    words = [f"{progress.step}/{progress.total}"]
    words += [f"{progress.rate:.3g} steps/s"] if live and progress.rate is not None else []
    words += [f"{_left(progress.eta)} left"] if live and progress.eta is not None else []
    words += [] if progress.loss is None else [f"loss {progress.loss:.4g}"]
    return ", ".join(words)


def _left(seconds: int) -> str:
    return f"{seconds} s" if seconds < 100 else span(seconds)


def _share(progress: StageProgress | None) -> float | None:
    """The part of its steps that is made, from 0 to 1."""
    return min(1.0, progress.step / progress.total) if progress and progress.total else None


def _moment(time: str | None) -> float | None:
    """Seconds since 1970 of a time as Kubernetes writes it."""
    try:
        read = datetime.fromisoformat(time or "")
    except ValueError:
        return None
    return (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()
