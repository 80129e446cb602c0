"""How a job ended: its exit code, and a sentence for people."""
# pyright: reportMissingTypeStubs=false

from collections.abc import Iterable

from fastgen_k8s.errors import OutOfMemory
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.outcome import exit_code, replicas
from fastgen_k8s.lifecycle.exits import Outcome


def outcome(jobs: Iterable[Object], pods: Iterable[Object], said: str) -> Outcome:
    """The outcome of a job that has failed, from its Jobs and pods as they are now and from what it says itself."""
    jobs, pods = list(jobs), list(pods)
    code = exit_code(jobs, pods) or 1  # 0: it succeeded and left no artifact
    words = [one.why for one in replicas(pods) if one.code == code and one.why]
    sentence = words[-1] if words else said
    if code == OutOfMemory.code:
        sentence = f"{sentence or 'out of memory'}{_memory(pods)}"
    return Outcome.of(code, sentence.removeprefix("error: "))


def _memory(pods: Iterable[Object]) -> str:
    """The memory that the pods might have, where they say it."""
    limits = [one["resources"]["limits"].get("memory") for pod in pods for one in pod["spec"].get("containers", ())]
    return next((f" (each pod may have {limit})" for limit in limits if limit), "")
