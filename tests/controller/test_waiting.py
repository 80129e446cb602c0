"""Why a job does not work, as its pods show it: each pod is as a real kubelet or the control plane left one."""

from dataclasses import replace
from typing import Any

import pytest

from fastgen_k8s.controller.waiting import Waits, why
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.lifecycle.fold import bounded
from tests.lifecycle.test_fold import JOB

PORT_A = 'ErrImagePull: failed to pull "r/i:9": dial tcp: read udp 10.0.0.7:41234->10.0.0.1:53: i/o timeout'
PORT_B = PORT_A.replace("41234", "39999")


def pod(phase: str, container: Object | None = None, ready: str = "False", **more: Any) -> Object:
    """A trainer that is not ready."""
    labels = {"app.kubernetes.io/component": "trainer", "jobset.sigs.k8s.io/job-index": "0"}
    meta = {"name": "kd-0", "labels": labels, "creationTimestamp": "2026-01-02T03:04:05Z"} | more.pop("meta", {})
    status = {"phase": phase, "conditions": [{"type": "Ready", "status": ready}, *more.pop("conditions", [])]}
    statuses = {} if container is None else {"containerStatuses": [container]}
    return {"metadata": meta, "spec": {"nodeName": "node-1"}, "status": status | statuses}


def waiting(reason: str, message: str = "") -> Object:
    return {"ready": False, "state": {"waiting": {"reason": reason, "message": message}}}


def ended(code: int, message: str = "") -> Object:
    return {"ready": False, "state": {"terminated": {"exitCode": code, "reason": "Error", "message": message}}}


WORKS: Object = {"ready": True, "state": {"running": {}}}
UNSCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes fit"}
NEW = {"name": "kd-1", "creationTimestamp": "2026-01-02T03:05:05Z"}

PODS: dict[str, tuple[list[Object], Waits]] = {
    "none yet": ([], Waits("its pods are being made")),
    "one without a node": ([pod("Pending", conditions=[UNSCHEDULED])], Waits("waits for a node: 0/3 nodes fit")),
    "one whose container is being made": (
        [pod("Pending", waiting("ContainerCreating"))],
        Waits("its pods are being started"),
    ),
    "one of which no kubelet has said anything": ([pod("Pending")], Waits("its pods are being started")),
    "one that cannot be made": (
        [pod("Pending", waiting("CreateContainerConfigError", "no such secret"))],
        Waits("a container cannot be started: CreateContainerConfigError: no such secret", "ContainerNotStarted"),
    ),
    "one that has ended and is to be made again": (
        [pod("Failed", ended(74, "error: s3://b: no answer\n"))],
        Waits("a pod has ended with exit code 74, the next is made after a while: error: s3://b: no answer"),
    ),
    "one that was evicted": ([pod("Failed")], Waits("a pod has ended, the next is made after a while")),
    "one that has ended, and the next": (
        [pod("Failed", ended(74)), pod("Pending", waiting("ContainerCreating"), meta=NEW)],
        Waits("its pods are being started"),
    ),
    "one that has ended well": ([pod("Succeeded", ended(0))], Waits("its pods have ended")),
    "one on a node that is not ready": ([pod("Running", WORKS)], Waits("its node node-1 does not answer")),
    "one that is asked to end": (
        [pod("Running", WORKS, meta={"deletionTimestamp": "2026-01-02T03:04:09Z"})],
        Waits("a pod is being ended"),
    ),
}


@pytest.mark.parametrize("case", PODS)
def test_a_job_that_does_not_work_says_how_its_pods_stand(case: str) -> None:
    pods, found = PODS[case]
    assert why(replace(JOB, pods=tuple(pods)), None, None, None, []) == found


def test_pods_that_the_cluster_does_not_let_be_made_are_a_matter_for_somebody() -> None:
    found = why(JOB, None, None, None, ["older", "exceeded quota: small"])
    assert found == Waits("no pod can be made: exceeded quota: small", "PodsRefused")


def test_an_image_error_is_told_in_the_same_words_at_each_back_off() -> None:
    states = [
        waiting("ErrImagePull", PORT_A.removeprefix("ErrImagePull: ")),
        waiting("ImagePullBackOff", f'Back-off pulling image "r/i:9": {PORT_A}'),
        waiting("ErrImagePull", PORT_B.removeprefix("ErrImagePull: ")),
        waiting("ImagePullBackOff", f'Back-off pulling image "r/i:9": {PORT_B}'),
    ]
    said = [why(replace(JOB, pods=(pod("Pending", one),)), None, None, None, []) for one in states]
    assert {bounded(one.said or "") for one in said} == {
        'its image cannot be pulled: failed to pull "r/i:9": dial tcp: read udp 10.0.0.7->10.0.0.1:53: i/o timeout'
    }
    assert {one.reason for one in said} == {"ImageNotPulled"}
