"""A launch as a JobSet: a rendezvous job, and one Job a trainer, each with exit codes that say what to do.

And JobSets as a backend: what they say of themselves, and how they are stopped for good.
"""

import time
from collections.abc import Callable

from fastgen_k8s.errors import PERMANENT, BadInput, Misdescribed, Stopped
from fastgen_k8s.kube.api import Api
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.cluster import Cluster
from fastgen_k8s.launch.jobs import Backend
from fastgen_k8s.launch.launch import Launch, job_name
from fastgen_k8s.launch.outcome import CANCELLED, ENDED, condition_of, jobset_state
from fastgen_k8s.launch.pod import PORT, RENDEZVOUS, TRAINER, metadata, rendezvous_pod, trainer_pod

API_VERSION = "jobset.x-k8s.io/v1alpha2"
_CRASHES = 3  # of one trainer's pods; the agent's own restarts come before
_STORES = 100  # of the rendezvous pod: its loss costs nothing but a meeting
PATIENCE = 30.0  # seconds in which a Kueue that works has seen a job, and has suspended one
_LOOK_EVERY = 0.2  # seconds


def jobset(launch: Launch, cluster: Cluster) -> Object:
    """The JobSet of a launch; Misdescribed for a place, image, name or options that a cluster cannot use.

    One Job a trainer, because the Job controller's back-off grows with every pod that one Job has lost. The first
    trainer that succeeds ends the set: no agent exits 0 before it has read the committed manifest.
    """
    launch.check_shared()
    if cluster.suspend and cluster.queue:
        raise Misdescribed(
            f"suspend: wanted none with the queue {cluster.queue!r}, found true: Kueue suspends a job and lets it go"
        )
    job = job_name(launch.work, cluster.job)
    endpoint = f"{job}-{RENDEZVOUS}-0-0.{job}:{PORT}" if launch.meets else None
    trainer = _job(TRAINER, trainer_pod(launch, cluster, job, endpoint), _CRASHES)
    if cluster.deadline:
        trainer["activeDeadlineSeconds"] = cluster.deadline
    replicated: list[Object] = [
        {"name": TRAINER, "replicas": launch.placement.max_nodes, "template": {"spec": trainer}}
    ]
    if endpoint:
        store = _job(RENDEZVOUS, rendezvous_pod(launch, cluster, job), _STORES)
        replicated.insert(0, {"name": RENDEZVOUS, "replicas": 1, "template": {"spec": store}})
    kueue = {"kueue.x-k8s.io/queue-name": cluster.queue, "kueue.x-k8s.io/priority-class": cluster.queue_priority}
    meta = metadata(launch, cluster, job)
    meta["labels"] |= {name: value for name, value in kueue.items() if value}
    spec: Object = {
        "suspend": cluster.suspend,
        "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
        "successPolicy": {"operator": "Any", "targetReplicatedJobs": [TRAINER]},
        "failurePolicy": {"maxRestarts": 0},
        "replicatedJobs": replicated,
    }
    if cluster.ttl is not None:
        spec["ttlSecondsAfterFinished"] = cluster.ttl
    return {"apiVersion": API_VERSION, "kind": "JobSet", "metadata": meta, "spec": spec}


def _job(container: str, pod: Object, crashes: int) -> Object:
    return {
        "parallelism": 1,
        "completions": 1,
        "completionMode": "Indexed",
        "backoffLimit": crashes,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {
            "rules": [
                {"action": "FailJob", "onExitCodes": _codes(container, *sorted(PERMANENT))},
                {"action": "Ignore", "onExitCodes": _codes(container, Stopped.code)},
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            ]
        },
        "template": pod,
    }


def _codes(container: str, *codes: int) -> Object:
    return {"containerName": container, "operator": "In", "values": list(codes)}


def _said(jobset: Object) -> str:
    """What the newest condition that is true says."""
    conditions: list[Object] = [
        one for one in jobset.get("status", {}).get("conditions", ()) if one["status"] == "True"
    ]
    if not conditions:
        return ""
    newest = max(conditions, key=lambda one: str(one.get("lastTransitionTime", "")))
    return f"{newest.get('reason', '')}: {newest.get('message', '')}"


def _cancel(api: Api, path: str, jobset: Object) -> None:
    """Have it suspended, and only then call it cancelled; BadInput where Kueue does not say that it will not start it.

    A job that waits in a queue is Kueue's to suspend: it sets `suspend` back where somebody else has set it, and its
    Workload, of which nothing is admitted any more once it is inactive, appears a moment after the job. One that was
    admitted just before is started, and then stopped: it is suspended for good when it has given back its place.
    """
    workloads = (
        _deactivated(api, jobset) if "kueue.x-k8s.io/queue-name" in jobset["metadata"].get("labels", {}) else None
    )
    if workloads is not None:
        _until(
            lambda: _at_rest(api.find(path), workloads()),
            f"{path}: wanted it suspended by Kueue, found it running or about to",
        )
        api.patch(path, {"metadata": {"annotations": {CANCELLED: "true"}}})
    else:
        api.patch(path, {"metadata": {"annotations": {CANCELLED: "true"}}, "spec": {"suspend": True}})


def _deactivated(api: Api, jobset: Object) -> Callable[[], list[Object]] | None:
    """Have Kueue admit the job's Workload no more; how to look at that, None where there is no Kueue."""
    meta = jobset["metadata"]
    where = f"/apis/kueue.x-k8s.io/v1beta2/namespaces/{meta['namespace']}/workloads"
    chosen = f"kueue.x-k8s.io/job-uid={meta['uid']}"

    def workloads() -> list[Object]:
        return (api.find(where, labelSelector=chosen) or {"items": []})["items"]

    if api.find(where, labelSelector=chosen) is None:
        return None
    name = f"{meta['namespace']}/{meta['name']}"
    _until(
        lambda: bool(workloads()), f"{name}: wanted a Workload, by which Kueue is told to start it no more, found none"
    )
    for one in workloads():
        api.patch(f"{where}/{one['metadata']['name']}", {"spec": {"active": False}})
    return workloads


def _at_rest(jobset: Object | None, workloads: list[Object]) -> bool:
    """Whether it is suspended and holds no place in a queue, or is over."""
    if jobset is None or jobset_state(jobset) in ENDED:
        return True
    return bool(jobset["spec"].get("suspend")) and not any(
        condition_of(one, "QuotaReserved", "True") for one in workloads
    )


def _until(holds: Callable[[], bool], otherwise: str) -> None:
    """Wait for what Kueue does; BadInput says otherwise."""
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise BadInput(f"{otherwise} after {PATIENCE:g} s: nothing was cancelled")
        time.sleep(_LOOK_EVERY)


JOBSET = Backend(
    kind="JobSet",
    product="JobSet",
    group=API_VERSION,
    plural="jobsets",
    render=jobset,
    state=jobset_state,
    said=_said,
    cancel=_cancel,
)
