"""A launch as a JobSet: a rendezvous job, and one Job a trainer, each with exit codes that say what to do."""

from fastgen_k8s.errors import PERMANENT, Misdescribed, Stopped
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.cluster import Cluster
from fastgen_k8s.launch.command import job_name
from fastgen_k8s.launch.launch import Launch
from fastgen_k8s.launch.pod import PORT, RENDEZVOUS, TRAINER, metadata, rendezvous_pod, trainer_pod

API_VERSION = "jobset.x-k8s.io/v1alpha2"
_CRASHES = 3  # of one trainer's pods; the agent's own restarts come before
_STORES = 100  # of the rendezvous pod: its loss costs nothing but a meeting


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
