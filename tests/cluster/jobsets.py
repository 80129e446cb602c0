"""Small JobSets for the tests of the cluster itself: plain Python as the program, pods that `restricted` admits."""

from typing import Any

from tests.cluster.api import Object
from tests.cluster.conditions import holds
from tests.cluster.images import BASE_IMAGE

RESOURCE = "jobsets.v1alpha2.jobset.x-k8s.io"

_TRAINER = {"jobset.sigs.k8s.io/replicatedjob-name": "trainer"}
TRAINERS = ",".join(f"{key}={value}" for key, value in _TRAINER.items())
GIVES_UP_SOON: list[Object] = [
    {
        "key": f"node.kubernetes.io/{why}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 5,
    }
    for why in ("not-ready", "unreachable")
]
"""Tolerations: leave a node that does not answer after five seconds instead of five minutes."""


def pod(command: list[str], *, image: str = BASE_IMAGE, grace: int = 5) -> Object:
    """A pod's spec that Pod Security admits under `restricted`."""
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": grace,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "main",
                "image": image,
                "command": command,
                "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    }


def python(program: str) -> list[str]:
    """The command of a container that runs this Python program."""
    return ["python3", "-u", "-c", program]


def single(name: str, namespace: str, spec: Object) -> Object:
    """A pod of its own."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def jobset(name: str, namespace: str, *, trainers: int, command: list[str], **labels: str) -> Object:
    """One rendezvous pod that waits to be ended, and a Job a trainer; the first trainer's success ends it."""
    waiting = python("import signal; signal.pause()")
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
            "successPolicy": {"operator": "All", "targetReplicatedJobs": ["trainer"]},
            "replicatedJobs": [_job("rendezvous", 1, waiting), _job("trainer", trainers, command)],
        },
    }


def _job(name: str, replicas: int, command: list[str]) -> Object:
    template: dict[str, Any] = {"backoffLimit": 3, "parallelism": 1, "completions": 1}
    template["template"] = {"spec": pod(command)}
    return {"name": name, "replicas": replicas, "template": {"spec": template}}


def placed(made: Object, selector: dict[str, str], tolerations: list[Object]) -> Object:
    """The same JobSet with its pods bound to certain nodes."""
    for job in made["spec"]["replicatedJobs"]:
        job["template"]["spec"]["template"]["spec"] |= {"nodeSelector": selector, "tolerations": tolerations}
    return made


def completed(made: Object) -> bool:
    return holds(made, "Completed")


def admitted(made: Object) -> bool:
    """Whether it may run: nobody holds it back, and its Jobs have been made."""
    return not made["spec"].get("suspend", False) and "replicatedJobsStatus" in made.get("status", {})


def suspended(made: Object) -> bool:
    return made["spec"].get("suspend", False) and holds(made, "Suspended")


def spread(made: Object) -> Object:
    """The same JobSet with no two trainers on one node."""
    term = {
        "labelSelector": {"matchLabels": _TRAINER},
        "topologyKey": "kubernetes.io/hostname",
    }
    for job in made["spec"]["replicatedJobs"]:
        if job["name"] == "trainer":
            apart = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
            job["template"]["spec"]["template"]["spec"]["affinity"] = {"podAntiAffinity": apart}
    return made


def with_image(made: Object, image: str) -> Object:
    """The same JobSet with another image."""
    for job in made["spec"]["replicatedJobs"]:
        job["template"]["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return made
