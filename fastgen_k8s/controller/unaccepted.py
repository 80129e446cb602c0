"""What becomes of a pipeline whose newest generation is refused: what an earlier one has started has an end. Pure."""

from collections.abc import Mapping

from fastgen_k8s.lifecycle.conditions import columns, merge, outcome, suspension
from fastgen_k8s.lifecycle.fold import Look, fold, stopping
from fastgen_k8s.lifecycle.status import Condition, StageStatus, Status


def halted(
    stages: Mapping[str, StageStatus], looks: Mapping[str, Look], suspend: bool, now: float
) -> dict[str, StageStatus]:
    """Stages of which only the jobs are known; a job that has ended keeps its outcome until somebody can read it."""
    return {name: _halted(fold(stage, looks[name], now), looks[name], suspend) for name, stage in stages.items()}


def standing(
    stored: Status, said: Condition, stages: tuple[StageStatus, ...], suspend: bool, late: bool, now: str
) -> Status:
    """The status of the generation that was accepted last, with what is `said` of the one that was not."""
    told = stored.observedGeneration or 0
    succeeded = outcome(stages, told, suspend, late)
    conditions = [said, succeeded, suspension(suspend, stages, said.observedGeneration or told)]
    ended = None if succeeded.status == "Unknown" else stored.finishedAt or now
    return stored.model_copy(
        update={
            "stages": stages,
            "conditions": merge(stored.conditions, conditions, now),
            "columns": columns(stages, succeeded).model_copy(update={"status": said.reason}),
            "finishedAt": ended,
        }
    )


def _halted(stage: StageStatus, look: Look, suspend: bool) -> StageStatus:
    ended = look.child is not None and look.child.ended
    return stopping(stage, "Suspended") if suspend and not ended and stage.state in ("Queued", "Running") else stage
