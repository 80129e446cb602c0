"""Which jobs are removed: those whose end, or whose stopping, is in the stored status. Pure."""

from collections.abc import Iterable

from fastgen_k8s.controller.children import Child
from fastgen_k8s.lifecycle.status import StageStatus, Status


def removals(stored: Status, children: Iterable[Child], names: frozenset[str], cleanup: str) -> list[Child]:
    """The jobs to delete; `names` are the stages of the object's spec, `cleanup` its policy for ended jobs."""
    stages = {stage.name: stage for stage in stored.stages}
    return [one for one in children if not one.leaving and _is_done(one, stages.get(one.stage), names, cleanup)]


def _is_done(job: Child, stage: StageStatus | None, names: frozenset[str], cleanup: str) -> bool:
    if stage is None:
        return job.stage not in names  # a stage that was taken out; one that is new has its status written next
    if job.attempt > stage.attempt:
        return False
    if job.attempt == stage.attempt and stage.state == "Stopping":
        return True
    if not job.ended:  # one of an attempt that is over was asked for by a replica whose request arrived very late
        return job.attempt < stage.attempt or stage.state in ("Waiting", "Failed")
    if cleanup == "always":
        return job.attempt < stage.attempt or stage.state in ("Succeeded", "Failed", "Waiting")
    return cleanup == "succeeded" and job.attempt == stage.attempt and stage.state == "Succeeded"
