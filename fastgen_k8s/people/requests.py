"""What a person may ask of a pipeline in a cluster: to pause, to go on, to try a failed stage again."""

from datetime import UTC, datetime

from fastgen_k8s.config import nearest
from fastgen_k8s.controller.children import RETRY
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.lifecycle.status import StageStatus
from fastgen_k8s.people.pipelines import Pipelines
from fastgen_k8s.people.present import status_of


def suspend(pipelines: Pipelines, name: str, wanted: bool) -> str:
    """Have a pipeline suspended, or not; what was done."""
    there = bool(pipelines.get(name)["spec"].get("suspend"))
    where, word = f"{pipelines.namespace}/{name}", "suspended" if wanted else "not suspended"
    if there == wanted:
        return f"{where} is {word} already"
    pipelines.change(name, {"spec": {"suspend": wanted}})
    after = "its jobs write their checkpoints and end" if wanted else "it goes on from its checkpoints"
    return f"{where} is {word} now: {after}"


def retry(pipelines: Pipelines, name: str, stage: str) -> str:
    """Have a failed stage tried again, with all its retries, or a job that never worked made anew; what was done."""
    found = pipelines.get(name)
    names = [str(one["name"]) for one in found["spec"]["stages"]]
    if stage not in names:
        raise Misdescribed(f"unknown stage {stage!r} of {name}: {nearest(stage, names)}")
    seen = next((one for one in status_of(found).stages if one.name == stage), StageStatus(name=stage))
    if seen.state != "Failed" and not (seen.state == "Queued" and seen.startedAt is None):
        found_it = seen.state.lower()
        raise Misdescribed(f"stage {stage} of {name}: wanted one that failed or has never worked, found it {found_it}")
    pipelines.change(name, {"metadata": {"annotations": {RETRY: f"{stage} {_now()}"}}})
    return f"{pipelines.namespace}/{name}: stage {stage} is to be tried again"


def _now() -> str:
    """To the microsecond: a second request is another one."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
