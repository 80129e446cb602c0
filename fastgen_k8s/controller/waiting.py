"""Why a job that is made does not work yet, in a sentence."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastgen_k8s.controller.children import Child

Found = Mapping[str, Any]

MADE = "its pods are being made"
_PULL = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable")


def why(child: Child, pool: str | None, queue: str | None, workload: Found | None, refused: Sequence[str]) -> str:
    """What keeps a job from working: a queue, a quota, nodes, its image; `refused` is what the cluster said of pods
    that could not be made.
    """
    if child.suspended:
        said = _queue(workload)
        return f"waits in queue {queue}{f': {said}' if said else ''}" if queue else "its job is suspended"
    if not child.pods:
        return f"no pod can be made: {refused[-1]}" if refused else MADE
    for found, sentence in (
        (_unscheduled(child.pods), f"waits for a node{f' of pool {pool}' if pool else ''}"),
        (_waiting(child.pods, _PULL), "its image cannot be pulled"),
        (_waiting(child.pods, None), "a container cannot be started"),
    ):
        if found is not None:
            return f"{sentence}: {found}"
    return "its pods are being started"


def _queue(workload: Found | None) -> str:
    """What Kueue says about a job that it does not admit."""
    conditions = (workload or {}).get("status", {}).get("conditions", ())
    for wanted in ("QuotaReserved", "Evicted"):
        found = next((one for one in conditions if one["type"] == wanted), None)
        if found is not None and found["status"] == ("False" if wanted == "QuotaReserved" else "True"):
            return str(found.get("message", ""))
    return ""


def _unscheduled(pods: Iterable[Found]) -> str | None:
    for pod in pods:
        for one in pod.get("status", {}).get("conditions", ()):
            if one["type"] == "PodScheduled" and one["status"] == "False":
                return str(one.get("message", ""))
    return None


def _waiting(pods: Iterable[Found], reasons: Sequence[str] | None) -> str | None:
    """What a container waits for; without `reasons`, whatever is not the ordinary start."""
    for pod in pods:
        for one in pod.get("status", {}).get("containerStatuses", ()):
            waiting = one.get("state", {}).get("waiting")
            if waiting is None or waiting.get("reason") in ("ContainerCreating", "PodInitializing"):
                continue
            if reasons is None or waiting.get("reason") in reasons:
                return f"{waiting.get('reason', '')}: {waiting.get('message', '')}".strip(": ")
    return None
