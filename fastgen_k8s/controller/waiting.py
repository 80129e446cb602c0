"""Why a job that is made does not work yet, in a sentence."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fastgen_k8s.controller.children import Child
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.outcome import condition_of, held_up, last_words, newest, terminated
from fastgen_k8s.launch.pod import TRAINER

MADE = "its pods are being made"
_PULLED = "ErrImagePull: "  # before what the registry said; a back-off from it repeats that
_PULL = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable")


class Waits(NamedTuple):
    """Why a job does not work, and in a word where somebody may have to do something."""

    said: str | None = None
    reason: str | None = None


def why(child: Child, pool: str | None, queue: str | None, workload: Object | None, refused: Sequence[str]) -> Waits:
    """What keeps a job from working: a queue, a quota, nodes, its image; `refused` is what the cluster said of pods
    that could not be made.
    """
    if child.suspended:
        said = _queue(workload)
        return Waits(f"waits in queue {queue}{f': {said}' if said else ''}" if queue else "its job is suspended")
    if not child.pods:
        return Waits(f"no pod can be made: {refused[-1]}", "PodsRefused") if refused else Waits(MADE)
    there = [pod for (role, _), pod in newest(child.pods) if role == TRAINER] or child.pods
    for found, sentence, reason in (
        (_unscheduled(there), f"waits for a node{f' of pool {pool}' if pool else ''}", None),
        (_waiting(there, _PULL), "its image cannot be pulled", "ImageNotPulled"),
        (_waiting(there, None), "a container cannot be started", "ContainerNotStarted"),
    ):
        if found is not None:
            return Waits(f"{sentence}: {found.rpartition(_PULLED)[2]}", reason)
    return Waits(next(filter(None, map(_stands, there)), "its pods are being started"))


def _stands(pod: Object) -> str | None:
    """How a pod stands that has been started and does not work."""
    status, code, said = pod.get("status", {}), terminated(pod), last_words(pod)
    if code is not None or status.get("phase") in ("Succeeded", "Failed"):
        how = "a pod has ended" if code is None else f"a pod has ended with exit code {code}"
        return (
            "its pods have ended"
            if code == 0
            else f"{how}, the next is made after a while{f': {said}' if said else ''}"
        )
    if "deletionTimestamp" in pod["metadata"]:
        return f"a pod is being ended{f': {said}' if said else ''}"
    if any(one.get("ready") for one in status.get("containerStatuses", ())):  # its node's kubelet says so, or did
        return f"its node {pod['spec'].get('nodeName', '')} does not answer"
    return None


def _queue(workload: Object | None) -> str:
    """What Kueue says about a job that it does not admit."""
    found = (
        condition_of(workload or {}, "QuotaReserved", "False") or condition_of(workload or {}, "Evicted", "True") or {}
    )
    return str(found.get("message", ""))


def _unscheduled(pods: Iterable[Object]) -> str | None:
    found = next(filter(None, (condition_of(pod, "PodScheduled", "False") for pod in pods)), None)
    return None if found is None else str(found.get("message", ""))


def _waiting(pods: Iterable[Object], reasons: Sequence[str] | None) -> str | None:
    """What a container waits for; without `reasons`, whatever is not the ordinary start."""
    said = (one for pod in pods for one in held_up(pod) if reasons is None or one[0] in reasons)
    return next((f"{reason}: {message}".strip(": ") for reason, message in said), None)
