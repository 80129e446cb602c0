# pyright: basic
"""What a stand-in for Volcano's job controller decides: pure functions of a job, its pods and what they were before.

This is not Volcano. It follows what a Volcano 1.14.4 was seen to do and what its sources say, and it has no gang, no
queues and no preemption: those stay untested.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.cluster.api import Object

JOBS = "jobs.v1alpha1.batch.volcano.sh"
COMMANDS = "commands.v1alpha1.bus.volcano.sh"
ENDED = frozenset({"Completed", "Failed", "Terminated", "Aborted"})
ENDS = {
    "CompleteJob": ("Completing", "Completed"),
    "TerminateJob": ("Terminating", "Terminated"),
    "AbortJob": ("Aborting", "Aborted"),
}
_OVER = frozenset({"Succeeded", "Failed"})


class Seen(NamedTuple):
    """A pod as it was when we looked."""

    name: str
    task: str
    version: int  # of the job that made it
    phase: str
    deleted: bool  # it has been asked to end
    gone: bool
    code: int  # of its container, when it has ended


class Event(NamedTuple):
    """What happened to a pod, as policies name it."""

    name: str
    pod: Seen


def phase(job: Object) -> str | None:
    """The job's phase; none before it was first looked at."""
    return job.get("status", {}).get("state", {}).get("phase")


def seen(pod: Object, *, gone: bool = False) -> Seen:
    """What counts of a pod; of one that is gone, as it was at last."""
    meta, status = pod["metadata"], pod.get("status", {})
    ended = [one["state"]["terminated"] for one in status.get("containerStatuses", ()) if "terminated" in one["state"]]
    return Seen(
        meta["name"],
        meta["annotations"]["volcano.sh/task-spec"],
        int(meta["annotations"]["volcano.sh/job-version"]),
        status.get("phase", "Pending"),
        "deletionTimestamp" in meta,
        gone,
        ended[0]["exitCode"] if ended else 0,
    )


def events(job: Object, before: Mapping[str, Seen], now: Mapping[str, Seen]) -> list[Event]:
    """What happened between two looks, by the pods' uids.

    A pod that is asked to end fails first, by what its kubelet writes, and is gone after that: Volcano 1.14.4 was seen
    to take it for one that failed, whoever had deleted it. Only one that is deleted by force is gone without a word.
    """
    found: list[Event] = []
    for uid, new in now.items():
        old = before.get(uid) or new._replace(phase="Pending", gone=False)
        if new.phase == "Failed" != old.phase:
            found.append(Event("PodFailed", new))
        elif new.phase == "Succeeded" != old.phase and _complete(job, new.task, now):
            found.append(Event("TaskCompleted", new))
        if new.gone and not old.gone:
            found.append(Event("PodEvicted", new))
    return found


def action(job: Object, event: Event) -> str:
    """The first policy of the pod's task that fits; without one the job is only synchronised."""
    if event.pod.version < job["status"].get("version", 0):
        return "SyncJob"
    for policy in _task(job, event.pod.task)["policies"]:
        if policy.get("event") == event.name or policy.get("exitCode", 0) == event.pod.code != 0:
            return policy["action"]
    return "SyncJob"


def after_sync(job: Object, pods: Sequence[Seen]) -> str:
    """The phase of a job whose pods were looked at."""
    now, spec = phase(job), job["spec"]
    count = counters(pods)
    total = sum(task["replicas"] for task in spec["tasks"])
    if now == "Restarting":
        if job["status"].get("retryCount", 0) >= spec["maxRetry"]:
            return "Failed"
        return "Pending" if total - count["terminating"] >= spec["minAvailable"] else "Restarting"
    over = count["succeeded"] + count["failed"]
    if now == "Pending" and count["running"] + over >= spec["minAvailable"]:
        return "Running"
    if now == "Running" and over == total:
        return "Completed" if count["succeeded"] >= spec["minAvailable"] else "Failed"
    return now or "Pending"


def counters(pods: Sequence[Seen]) -> dict[str, int]:
    """How many pods are in which state."""
    count: dict[str, int] = dict.fromkeys(("pending", "running", "succeeded", "failed", "terminating"), 0)
    for pod in pods:
        count["terminating" if pod.deleted else pod.phase.lower()] += 1
    return count


def stays(pod: Seen) -> bool:
    """Whether a pod is kept when its job ends."""
    return pod.phase in _OVER


def pods(job: Object) -> dict[str, Object]:
    """All pods that a job should have, by name."""
    made = [_pod(job, task, index) for task in job["spec"]["tasks"] for index in range(task["replicas"])]
    return {pod["metadata"]["name"]: pod for pod in made}


def network(job: Object) -> list[Object]:
    """What the svc plugin makes: the headless service, and where the pods' names stand."""
    name = job["metadata"]["name"]
    if "svc" not in job["spec"].get("plugins", {}):
        return []
    mine = {"volcano.sh/job-name": name, "volcano.sh/job-namespace": job["metadata"]["namespace"]}
    ready = "--publish-not-ready-addresses" in job["spec"]["plugins"]["svc"]
    service = {"clusterIP": "None", "selector": mine, "publishNotReadyAddresses": ready}
    hosts = {task["name"]: [f"{host}.{name}" for host in _names(job, task)] for task in job["spec"]["tasks"]}
    data = {f"VC_{_upper(task)}_HOSTS": ",".join(each) for task, each in hosts.items()}
    data |= {f"VC_{_upper(task)}_NUM": str(len(each)) for task, each in hosts.items()}
    data |= {f"{task}.host": "\n".join(each) for task, each in hosts.items()}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": _meta(job, name), "spec": service},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _meta(job, f"{name}-svc"), "data": data},
    ]


def _pod(job: Object, task: Object, index: int) -> Object:
    name, template = job["metadata"]["name"], task["template"]
    pod = f"{name}-{task['name']}-{index}"
    told = {
        "volcano.sh/job-name": name,
        "volcano.sh/queue-name": job["spec"]["queue"],
        "volcano.sh/task-spec": task["name"],
        "volcano.sh/task-index": str(index),
    }
    status = job["status"]
    annotations = told | {
        "volcano.sh/job-version": str(status.get("version", 0)),
        "volcano.sh/job-retry-count": str(status.get("retryCount", 0)),
        "scheduling.k8s.io/group-name": f"{name}-{job['metadata']['uid']}",
    }
    meta = _meta(job, pod) | {
        "labels": template["metadata"]["labels"] | told | {"volcano.sh/job-namespace": job["metadata"]["namespace"]},
        "annotations": template["metadata"]["annotations"] | annotations,
    }
    spec = template["spec"] | {"hostname": pod, "subdomain": name}  # the default scheduler places it
    if network(job):
        spec |= {"volumes": [*spec["volumes"], {"name": f"{name}-svc", "configMap": {"name": f"{name}-svc"}}]}
        mount = {"name": f"{name}-svc", "mountPath": "/etc/volcano"}
        spec |= {"containers": [one | {"volumeMounts": [*one["volumeMounts"], mount]} for one in spec["containers"]]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def _meta(job: Object, name: str) -> Object:
    owner = {"apiVersion": job["apiVersion"], "kind": "Job", "controller": True, "blockOwnerDeletion": True}
    owner |= {"name": job["metadata"]["name"], "uid": job["metadata"]["uid"]}
    return {"name": name, "namespace": job["metadata"]["namespace"], "ownerReferences": [owner]}


def _complete(job: Object, task: str, now: Mapping[str, Seen]) -> bool:
    mine = [pod for pod in now.values() if pod.task == task]
    return sum(pod.phase == "Succeeded" for pod in mine) == _task(job, task)["replicas"]


def _task(job: Object, name: str) -> Object:
    return next(task for task in job["spec"]["tasks"] if task["name"] == name)


def _names(job: Object, task: Object) -> list[str]:
    return [f"{job['metadata']['name']}-{task['name']}-{index}" for index in range(task["replicas"])]


def _upper(task: str) -> str:
    return task.replace("-", "_").upper()
