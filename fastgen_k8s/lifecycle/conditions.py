"""What a pipeline as a whole says: metav1 conditions, and the columns of `kubectl get`. Pure."""

from collections.abc import Mapping, Sequence
from typing import Literal

from fastgen_k8s.errors import Misdescribed, Stopped
from fastgen_k8s.lifecycle.fold import bounded
from fastgen_k8s.lifecycle.status import LIVE, Columns, Condition, StageStatus, Status, code_of

ACCEPTED, SUCCEEDED, SUSPENDED = "Accepted", "Succeeded", "Suspended"
"""`Succeeded` is Unknown while the pipeline is under way, False when it has failed."""

Truth = Literal["True", "False", "Unknown"]


def condition(kind: str, status: Truth, reason: str, message: str, generation: int) -> Condition:
    """A condition without its time."""
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=bounded(message),
        observedGeneration=generation,
        lastTransitionTime="",
    )


def outcome(stages: Sequence[StageStatus], generation: int, suspended: bool, late: bool) -> Condition:
    """Whether the pipeline has succeeded; settled only when no attempt lives."""
    live = any(stage.state in LIVE for stage in stages)
    broken = next((stage for stage in stages if stage.state == "Failed"), None)

    def said(status: Truth, reason: str, message: str) -> Condition:
        return condition(SUCCEEDED, status, reason, message, generation)

    if all(stage.state == "Succeeded" for stage in stages):
        return said("True", "Succeeded", f"all {len(stages)} stages have succeeded")
    if broken is not None:
        message = f"stage {broken.name}: {broken.message}"
        reason = "GateFailed" if broken.exitClass == "GateFailed" else "StageFailed"
        return said("Unknown", "Failing", f"other stages end; {message}") if live else said("False", reason, message)
    if late:
        message = "the pipeline has passed its deadline"
        return said("Unknown" if live else "False", "Stopping" if live else "DeadlineExceeded", message)
    if suspended:
        return said("Unknown", "Stopping" if live else "Suspended", "jobs are asked to end" if live else "suspended")
    running = [stage.name for stage in stages if stage.state in LIVE]
    if running:
        return said("Unknown", "Running", f"running: {', '.join(running)}")
    waiting = next((stage for stage in stages if stage.state == "Waiting"), None)
    if waiting is None:
        return said("Unknown", "Waiting", "waiting")
    return said("Unknown", waiting.reason or "Waiting", f"stage {waiting.name}: {waiting.message}")


def code(status: Status, generation: int | None) -> int | None:
    """The exit code that the end of a pipeline comes to; None while its newest generation goes on."""
    said = {one.type: one for one in status.conditions if one.observedGeneration == generation}
    accepted, succeeded = said.get(ACCEPTED), said.get(SUCCEEDED)
    if accepted is not None and (accepted.status, accepted.reason) == ("False", "Invalid"):
        return Misdescribed.code  # an input that is missing may still come
    if succeeded is None or succeeded.status == "Unknown":
        return None
    return 0 if succeeded.status == "True" else _failure(status.stages)


def _failure(stages: Sequence[StageStatus]) -> int:
    """The code of the stage that failed; without one, the pipeline has passed its own deadline."""
    failed = next((stage for stage in stages if stage.state == "Failed"), None)
    return Stopped.code if failed is None else code_of(failed)


def suspension(suspended: bool, stages: Sequence[StageStatus], generation: int) -> Condition:
    """Whether the pipeline is suspended and nothing of it runs."""
    live = any(stage.state in LIVE for stage in stages)
    if not suspended:
        return condition(SUSPENDED, "False", "Active", "", generation)
    reason, message = ("Stopping", "jobs are asked to end") if live else ("Suspended", "no job is left")
    return condition(SUSPENDED, "False" if live else "True", reason, message, generation)


def merge(before: Sequence[Condition], now: Sequence[Condition], time: str) -> tuple[Condition, ...]:
    """The conditions of now, each with the time since which its status holds."""
    earlier: Mapping[str, Condition] = {one.type: one for one in before}

    def since(one: Condition) -> str:
        same = earlier.get(one.type)
        return same.lastTransitionTime if same is not None and same.status == one.status else time

    return tuple(one.model_copy(update={"lastTransitionTime": since(one)}) for one in now)


def columns(stages: Sequence[StageStatus], succeeded: Condition) -> Columns:
    """What fits on a line."""
    done = sum(stage.state == "Succeeded" for stage in stages)
    shown = _shown(stages)
    status = succeeded.reason if succeeded.status != "Unknown" or shown is None else _word(shown, succeeded)
    if shown is None:
        return Columns(stage=f"{done}/{len(stages)}", status=status)
    progress = f"{shown.progress.step}/{shown.progress.total}" if shown.progress else ""
    loss = f"{shown.progress.loss:.4g}" if shown.progress and shown.progress.loss is not None else ""
    nodes = f"{shown.nodesReady}/{shown.nodes}" if shown.state in LIVE else ""
    return Columns(
        stage=f"{shown.name} ({done}/{len(stages)})", progress=progress, nodes=nodes, loss=loss, status=status
    )


def _shown(stages: Sequence[StageStatus]) -> StageStatus | None:
    """The stage that a person wants to see: one that failed, else one that lives, else the first that waits."""
    for wanted in (("Failed",), ("Running", "Stopping"), ("Queued",), ("Waiting",)):
        found = next((stage for stage in stages if stage.state in wanted), None)
        if found is not None:
            return found
    return None


def _word(shown: StageStatus, succeeded: Condition) -> str:
    return shown.state if succeeded.reason == "Running" else succeeded.reason
