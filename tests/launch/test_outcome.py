"""What is read from a job and its pods: its state, the exit code that explains it, and why a pod waits."""

import itertools
from typing import Any

import pytest

from fastgen_k8s.agent.crew import root
from fastgen_k8s.agent.worker import End
from fastgen_k8s.launch.outcome import (
    CANCELLED,
    INDEX,
    TASK_INDEX,
    JobState,
    Object,
    exit_code,
    jobset_state,
    number,
    replicas,
    vcjob_state,
    worst,
)


@pytest.mark.parametrize(
    ("codes", "code", "whose"),
    [
        ([0], 0, 0),
        ([0, 1], 1, 1),
        ([1, 65], 65, 1),
        ([65, 1], 65, 0),
        ([75, 0], 75, 0),
        ([75, 1], 1, 1),
        ([-9], 137, 0),
        ([75, -15], 143, 1),
        ([75, 75], 75, 0),
        ([74, 70], 70, 1),
        ([1, 74], 74, 1),
        ([74, 137], 74, 0),
    ],
)
def test_the_code_that_says_most_stands_for_all(codes: list[int], code: int, whose: int) -> None:
    assert worst(codes) == (code, whose)


@pytest.mark.parametrize("codes", list(itertools.permutations([0, 1, 64, 70, 74, 75, -9], 2)))
def test_a_job_and_an_agent_rank_codes_alike(codes: tuple[int, int]) -> None:
    agent = root([End(code) for code in codes], out_of_memory=False).code
    assert worst(codes)[0] == (128 - agent if agent < 0 else agent)


def jobset(
    *conditions: str, ready: int = 0, suspend: bool = False, annotations: dict[str, str] | None = None
) -> Object:
    return {
        "metadata": {"annotations": annotations or {}},
        "spec": {"suspend": suspend},
        "status": {
            "conditions": [{"type": one, "status": "True"} for one in conditions],
            "replicatedJobsStatus": [{"name": "trainer", "ready": ready}],
        },
    }


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (jobset(), JobState.PENDING),
        (jobset(ready=1), JobState.RUNNING),
        (jobset("Suspended", ready=1, suspend=True), JobState.PENDING),  # its pods are being ended
        (jobset("Suspended", suspend=True, annotations={CANCELLED: "true"}), JobState.CANCELLED),
        (jobset(ready=1, annotations={CANCELLED: "true"}), JobState.RUNNING),  # let go again
        (jobset(annotations={CANCELLED: "true"}), JobState.PENDING),
        (jobset("Completed"), JobState.SUCCEEDED),
        (jobset("Completed", annotations={CANCELLED: "true"}), JobState.SUCCEEDED),
        (jobset("Failed", ready=1), JobState.FAILED),
        ({"metadata": {}, "spec": {}}, JobState.PENDING),  # just created
    ],
)
def test_the_conditions_of_a_job_are_its_state(found: Object, state: JobState) -> None:
    assert jobset_state(found) == state


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        ("Pending", JobState.PENDING),
        ("Running", JobState.RUNNING),
        ("Restarting", JobState.RUNNING),  # the others go on
        ("Completing", JobState.RUNNING),
        ("Completed", JobState.SUCCEEDED),
        ("Terminating", JobState.RUNNING),
        ("Terminated", JobState.FAILED),
        ("Failed", JobState.FAILED),
        ("Aborting", JobState.CANCELLED),
        ("Aborted", JobState.CANCELLED),
    ],
)
def test_the_phase_of_a_volcano_job_is_its_state(phase: str, state: JobState) -> None:
    assert vcjob_state({"metadata": {}, "status": {"state": {"phase": phase}}}) == state


@pytest.mark.parametrize("status", [{}, {"status": {}}, {"status": {"state": {}}}])
def test_a_volcano_job_that_nobody_looked_at_yet_is_pending(status: Object) -> None:
    assert vcjob_state({"metadata": {}, **status}) == JobState.PENDING


@pytest.mark.parametrize(("labels", "index"), [({INDEX: "2"}, 2), ({TASK_INDEX: "1"}, 1), ({}, 0), ({INDEX: "x"}, 0)])
def test_each_backend_says_by_a_label_which_replica_a_pod_is(labels: dict[str, str], index: int) -> None:
    assert number({"metadata": {"labels": labels}}) == index


def pod(index: int, created: str, phase: str = "Running", **status: Any) -> Object:
    labels = {"app.kubernetes.io/component": "trainer", INDEX: str(index)}
    return {
        "metadata": {"name": f"kd-{index}-{created}", "labels": labels, "creationTimestamp": created},
        "spec": {"nodeName": "node"},
        "status": {"phase": phase, **status},
    }


def ended(code: int, reason: str = "Error") -> dict[str, Any]:
    return {"containerStatuses": [{"state": {"terminated": {"exitCode": code, "reason": reason}}}]}


def beside(code: int | None) -> dict[str, Any]:
    """A mesh's container that has ended with 0, before ours by its name."""
    mine: dict[str, Any] = (
        {"running": {}} if code is None else {"terminated": {"exitCode": code, "message": f"error: {code}"}}
    )
    mesh = {"terminated": {"exitCode": 0}}
    return {"containerStatuses": [{"name": "mesh", "state": mesh}, {"name": "trainer", "state": mine}]}


@pytest.mark.parametrize(("code", "why"), [(None, ""), (65, "error: 65"), (0, "")])
def test_the_container_that_works_says_how_its_pod_ended(code: int | None, why: str) -> None:
    one = pod(0, "1", "Failed", **beside(code))
    assert (replicas([one])[0].code, replicas([one])[0].why, exit_code([], [one])) == (code, why, code)


def test_a_replica_is_seen_by_its_newest_pod() -> None:
    pods = [pod(1, "2"), pod(0, "3"), pod(0, "1", "Failed", **ended(75))]
    assert [(one.number, one.pod, one.code) for one in replicas(pods)] == [(0, "kd-0-3", None), (1, "kd-1-2", None)]


@pytest.mark.parametrize(
    ("pods", "message", "code"),
    [
        ([], "", None),
        ([pod(0, "1", "Failed", **ended(64))], "", 64),
        ([pod(0, "1", "Failed", **ended(75)), pod(1, "1", "Failed", **ended(1))], "", 1),
        ([pod(0, "1", "Failed", **ended(137, "OOMKilled"))], "", 71),
        ([], "Container trainer for pod ns/kd failed with exit code 70 matching FailJob rule at index 0", 70),
        ([pod(0, "1", "Failed", **ended(75))], "failed with exit code 65 matching FailJob rule at index 0", 65),
    ],
)
def test_the_exit_code_of_a_job_outlives_its_pods(pods: list[Object], message: str, code: int | None) -> None:
    jobs = [{"status": {"conditions": [{"type": "FailureTarget", "message": message}]}}]
    assert exit_code(jobs, pods) == code


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({}, ""),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "none"}]},
            "Unschedulable: none",
        ),
        (
            {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "Preempted", "message": "by b"}]},
            "Preempted: by b",
        ),
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such"}}}]},
            "ImagePullBackOff: no such",
        ),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, ""),
        (
            {"containerStatuses": [{"state": {"terminated": {"exitCode": 65, "message": "so\nerror: none\n"}}}]},
            "error: none",
        ),
        ({"containerStatuses": [{"state": {"terminated": {"exitCode": 0, "message": "done"}}}]}, ""),
    ],
)
def test_a_pod_says_why_it_waits_or_ended(status: dict[str, Any], why: str) -> None:
    [one] = replicas([pod(0, "1", "Pending", **status)])
    assert one.why == why
