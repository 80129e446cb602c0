"""The status of a stage as people see it."""

from datetime import UTC, datetime

from fastgen_k8s.artifacts.progress import Progress
from fastgen_k8s.lifecycle.status import LIVE, StageStatus
from fastgen_k8s.view.progress import shown
from fastgen_k8s.view.rows import StageRow, clock


def row(stage: StageStatus, kind: str, now: datetime, took: float | None = None) -> StageRow:
    """A stage as a row; `took`: seconds of all its attempts together, where somebody has counted them."""
    live = stage.state in LIVE
    began, ended = _moment(stage.startedAt), _moment(stage.finishedAt)
    until = now.timestamp() if live else ended
    lasted = None if began is None or until is None else until - began
    so_far = _progress(stage, live)
    return StageRow(
        stage=stage.name,
        kind=kind,
        state=stage.state.lower(),
        seconds=lasted if live or took is None or not stage.attempt else took,
        note="; ".join(filter(None, _words(stage, so_far, live))),
        attempt=stage.attempt,
        nodes=f"{stage.nodesReady}/{stage.nodes}" if live and stage.nodes else "",  # a laptop has none
        began="" if began is None else clock(began, now),
        share=so_far.share if live else None,
    )


def _words(stage: StageStatus, so_far: Progress, live: bool) -> list[str]:
    """How far a stage is, why it waits, how it ended."""
    ended = "" if stage.exitClass is None else stage.exitClass + (f" ({stage.exitCode})" if stage.exitCode else "")
    saved = "" if stage.checkpoint is None or stage.state == "Succeeded" else f"checkpoint {stage.checkpoint}"
    far = ", ".join(filter(None, [shown(so_far), saved]))
    message = stage.message or ""
    if live and stage.state != "Stopping":
        return [far, message, f"before: {ended}" if ended else ""]
    return [": ".join(filter(None, [ended, message])), far]


def _progress(stage: StageStatus, live: bool) -> Progress:
    said = stage.progress
    if said is None:
        return Progress()
    if not live:
        return Progress(step=said.step, steps=said.total, loss=said.loss)
    return Progress(said.step, said.total, said.rate, said.eta, said.loss)


def _moment(time: str | None) -> float | None:
    """Seconds since 1970 of a time as Kubernetes writes it."""
    try:
        read = datetime.fromisoformat(time or "")
    except ValueError:
        return None
    return (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()
