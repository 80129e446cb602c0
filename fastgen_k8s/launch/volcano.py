"""A launch as a Job of Volcano: a task for each role, exit codes first, the end when the work is published.

And such Jobs as a backend: what they say of themselves, and how they are stopped for good.
Volcano's own program was not run against this shape, which follows its sources and what a 1.14.4 was seen to do.
"""

from collections.abc import Mapping

from fastgen_k8s.errors import PERMANENT, Misdescribed
from fastgen_k8s.kube.api import Api
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.cluster import Cluster
from fastgen_k8s.launch.jobs import Backend
from fastgen_k8s.launch.launch import Launch, job_name
from fastgen_k8s.launch.outcome import vcjob_state
from fastgen_k8s.launch.pod import PORT, RENDEZVOUS, TRAINER, metadata, rendezvous_pod, trainer_pod

API_VERSION = "batch.volcano.sh/v1alpha1"
_CRASHES = 3  # of each pod
_EVICTIONS = 7 * 24  # of each pod: spot nodes that last an hour each, for a week
_SVC = ("--publish-not-ready-addresses", "--disable-network-policy")  # agents meet before they are ready; ours hold
_LACKS: Mapping[str, str] = {
    "queue_priority": "that is Kueue's: give priority_class",
    "deadline": "Volcano ends no job by the clock",
    "suspend": "a job of Volcano starts when its queue lets it",
}


def vcjob(launch: Launch, cluster: Cluster) -> Object:
    """The Job of a launch; Misdescribed for a place, image, name or option that Volcano cannot use.

    A task is complete when *all* its replicas have succeeded, and an elastic one may never have them all: so where
    there are several trainers, also such as never meet, a task of one pod waits until the work is published and ends
    the job. The gang is that pod and the fewest trainers.
    """
    launch.check_shared()
    _check_offered(cluster)
    fewest, most = launch.placement.min_nodes, launch.placement.max_nodes
    job = job_name(launch.work, cluster.job)
    several = most > 1
    endpoint = f"{job}-{RENDEZVOUS}-0.{job}:{PORT}" if launch.meets else None
    pod = trainer_pod(launch, cluster, job, endpoint)
    tasks = [_task(TRAINER, most, fewest, pod, ends=not several)]
    if several:
        pod = rendezvous_pod(launch, cluster, job, ["--until", *launch.argv])
        tasks.insert(0, _task(RENDEZVOUS, 1, 1, pod, ends=True))
    optional: Object = {
        "priorityClassName": cluster.priority_class,
        "ttlSecondsAfterFinished": cluster.ttl,
        "plugins": {"svc": list(_SVC)} if endpoint else None,
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "Job",
        "metadata": metadata(launch, cluster, job),
        "spec": {
            "schedulerName": "volcano",
            "queue": cluster.queue or "default",
            "minAvailable": fewest + several,
            "maxRetry": (_CRASHES + _EVICTIONS) * (most + several) + 1,  # the count that ends the job
            **{name: value for name, value in optional.items() if value is not None},
            "tasks": tasks,
        },
    }


def _task(name: str, replicas: int, fewest: int, pod: Object, ends: bool) -> Object:
    """The first policy that fits decides, so exit codes come before the event that each failure raises.

    A pod that was deleted (evicted, preempted) fails before it is gone, and is counted like a crash: there is one
    number for the whole job, and no policy by which a pod is made anew without it. So that number has room for both.
    """
    policies: list[Object] = [{"exitCode": code, "action": "TerminateJob"} for code in sorted(PERMANENT)]
    policies.append({"event": "PodFailed", "action": "RestartPod"})
    if ends:
        policies.append({"event": "TaskCompleted", "action": "CompleteJob"})
    return {"name": name, "replicas": replicas, "minAvailable": fewest, "policies": policies, "template": pod}


def _check_offered(cluster: Cluster) -> None:
    for name, value in cluster.canonical().items():
        if name in _LACKS:
            raise Misdescribed(f"{name}: wanted none on Volcano, found {value!r}: {_LACKS[name]}")


def _said(vcjob: Object) -> str:
    """What its phase says, and how often it was started again."""
    status = vcjob.get("status", {})
    state = status.get("state", {})
    words = [state.get("phase", "not looked at yet"), state.get("reason", ""), state.get("message", "")]
    retries = status.get("retryCount", 0)
    return ": ".join(word for word in words if word) + (
        f" (pods replaced after a failure: {retries})" if retries else ""
    )


def _cancel(api: Api, path: str, vcjob: Object) -> None:
    """Tell Volcano to abort it; the command goes when it has been followed, or with the job."""
    meta = vcjob["metadata"]
    target = {"apiVersion": API_VERSION, "kind": "Job", "name": meta["name"], "uid": meta["uid"], "controller": True}
    command = {
        "apiVersion": "bus.volcano.sh/v1alpha1",
        "kind": "Command",
        "metadata": {
            "generateName": f"{meta['name']}-abort-",
            "namespace": meta["namespace"],
            "ownerReferences": [target],
        },
        "action": "AbortJob",
        "target": target,
    }
    api.create(f"/apis/bus.volcano.sh/v1alpha1/namespaces/{meta['namespace']}/commands", command)


VOLCANO = Backend(
    kind="Job (batch.volcano.sh)",
    product="Volcano",
    group=API_VERSION,
    plural="jobs",
    render=vcjob,
    state=vcjob_state,
    said=_said,
    cancel=_cancel,
)
