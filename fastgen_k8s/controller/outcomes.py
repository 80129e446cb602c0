"""How an attempt ended: its exit code as a class with a name, and a sentence for people."""
# pyright: reportMissingTypeStubs=false

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fastgen_k8s.controller.status import ExitClass
from fastgen_k8s.errors import BadInput, Misdescribed, OutOfMemory, StoreFailed, Unhealthy
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.outcome import exit_code, replicas

_CLASSES: Mapping[int, ExitClass] = {
    Misdescribed.code: "Misdescribed",
    BadInput.code: "BadInput",
    Unhealthy.code: "Unhealthy",
    OutOfMemory.code: "OutOfMemory",
    StoreFailed.code: "StoreFailed",
}


@dataclass(frozen=True)
class Outcome:
    """What an attempt without an artifact came to."""

    code: int
    kind: ExitClass
    said: str


def outcome(jobs: Iterable[Object], pods: Iterable[Object], said: str) -> Outcome:
    """The outcome of a job that has failed, from its Jobs and pods as they are now and from what it says itself."""
    jobs, pods = list(jobs), list(pods)
    code = exit_code(jobs, pods) or 1  # 0: it succeeded and left no artifact
    words = [one.why for one in replicas(pods) if one.code == code and one.why]
    sentence = words[-1] if words else said
    if code == OutOfMemory.code:
        sentence = f"{sentence or 'out of memory'}{_memory(pods)}"
    return Outcome(code, _CLASSES.get(code, "Crashed"), sentence.removeprefix("error: "))


def _memory(pods: Iterable[Object]) -> str:
    """The memory that the pods might have, where they say it."""
    limits = [one["resources"]["limits"].get("memory") for pod in pods for one in pod["spec"].get("containers", ())]
    return next((f" (each pod may have {limit})" for limit in limits if limit), "")
