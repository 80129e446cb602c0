"""A work as a Job of Volcano: who is in the gang, what each exit code does, and what ends the job."""

from typing import Any

import pytest

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.pipeline.kinds import Kind
from tests.launch.rendered import container, environment, rendered, work


def volcano(*given: Any, **placement: Any) -> dict[str, Any]:
    return rendered("volcano", *given, **placement)


def tasks(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in found["spec"]["tasks"]}


def action(task: dict[str, Any], event: str, code: int) -> str | None:
    """What Volcano does: the first policy that fits, of a pod that failed also by its exit code."""
    fits = (one for one in task["policies"] if one.get("event") == event or one.get("exitCode") == code)
    return next((one["action"] for one in fits), None)


@pytest.mark.parametrize(
    ("kind", "nodes", "wanted", "gang"),
    [
        ("train", "1:3", {"rendezvous": (1, 1), "trainer": (3, 1)}, 2),
        ("train", "2:4", {"rendezvous": (1, 1), "trainer": (4, 2)}, 3),
        ("train", "2", {"rendezvous": (1, 1), "trainer": (2, 2)}, 3),
        ("train", "1", {"trainer": (1, 1)}, 1),
        ("pairs", "3", {"rendezvous": (1, 1), "trainer": (3, 3)}, 4),
        ("pairs", "1:3", {"rendezvous": (1, 1), "trainer": (3, 1)}, 2),
        ("bridge", "1", {"trainer": (1, 1)}, 1),
    ],
)
def test_the_gang_is_the_fewest_trainers_and_what_ends_the_job(
    kind: Kind, nodes: str, wanted: dict[str, tuple[int, int]], gang: int
) -> None:
    found = volcano(work(kind), nodes=nodes)
    assert {name: (task["replicas"], task["minAvailable"]) for name, task in tasks(found).items()} == wanted
    assert found["spec"]["minAvailable"] == gang


@pytest.mark.parametrize("role", ["trainer", "rendezvous"])
@pytest.mark.parametrize(
    ("event", "code", "wanted"),
    [
        ("PodFailed", 64, "TerminateJob"),
        ("PodFailed", 65, "TerminateJob"),
        ("PodFailed", 70, "TerminateJob"),
        ("PodFailed", 71, "TerminateJob"),
        ("PodFailed", 1, "RestartPod"),
        ("PodFailed", 74, "RestartPod"),
        ("PodFailed", 75, "RestartPod"),
        ("PodFailed", 137, "RestartPod"),
        ("PodEvicted", 0, None),  # by force: made anew and not counted; else it has failed before
    ],
)
def test_how_a_pod_ended_decides_what_follows(role: str, event: str, code: int, wanted: str | None) -> None:
    assert action(tasks(volcano(nodes="2"))[role], event, code) == wanted


@pytest.mark.parametrize(
    ("kind", "nodes", "ends"),
    [
        ("train", "1:2", "rendezvous"),
        ("train", "1", "trainer"),
        ("pairs", "3", "rendezvous"),
        ("bridge", "1", "trainer"),
    ],
)
def test_a_task_of_one_pod_ends_the_job(kind: Kind, nodes: str, ends: str) -> None:
    found = tasks(volcano(work(kind), nodes=nodes))
    ending = [name for name, task in found.items() if action(task, "TaskCompleted", 0) == "CompleteJob"]
    assert (ending, found[ends]["replicas"]) == ([ends], 1)


@pytest.mark.parametrize("kind", ["train", "pairs"])
def test_the_rendezvous_ends_when_the_work_is_published(kind: Kind) -> None:
    found = volcano(work(kind), nodes="3", micro_batch=2)
    command, agent = container(found, "rendezvous")["command"], container(found)["command"]
    assert command[command.index("--until") + 1 :] == agent[3:]


def test_trainers_find_the_rendezvous_by_its_name_and_never_host_it() -> None:
    found = volcano(nodes="1:2", cluster={"job": "kd"})
    assert environment(found)["PET_RDZV_ENDPOINT"] == "kd-rendezvous-0.kd:29400"
    assert environment(found)["PET_RDZV_CONF"] == "is_host=false"


@pytest.mark.parametrize(("kind", "nodes"), [("train", "1"), ("pairs", "3")])
def test_those_who_never_meet_have_no_service(kind: Kind, nodes: str) -> None:
    found = volcano(work(kind), nodes=nodes)
    assert "plugins" not in found["spec"]
    assert "PET_RDZV_ENDPOINT" not in environment(found)


def test_agents_meet_before_they_are_ready_and_under_our_own_policies() -> None:
    flags = volcano(nodes="2")["spec"]["plugins"]["svc"]
    assert flags == ["--publish-not-ready-addresses", "--disable-network-policy"]


@pytest.mark.parametrize(("nodes", "pods"), [("1", 1), ("2", 3), ("1:3", 4)])
def test_each_pod_may_crash_three_times_and_be_evicted_every_hour_of_a_week(nodes: str, pods: int) -> None:
    assert volcano(nodes=nodes)["spec"]["maxRetry"] == (3 + 7 * 24) * pods + 1


@pytest.mark.parametrize(
    ("cluster", "name", "wanted"),
    [
        ({}, "queue", "default"),
        ({"queue": "training"}, "queue", "training"),
        ({"priority_class": "high"}, "priorityClassName", "high"),
        ({"ttl": 0}, "ttlSecondsAfterFinished", 0),
        ({}, "schedulerName", "volcano"),
    ],
)
def test_an_option_of_the_cluster_reaches_the_job(cluster: dict[str, Any], name: str, wanted: object) -> None:
    assert volcano(cluster=cluster)["spec"][name] == wanted


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        ({"queue_priority": "high"}, "queue_priority: wanted none on Volcano, found 'high': that is Kueue's"),
        ({"deadline": 9}, "deadline: wanted none on Volcano, found 9: Volcano ends no job by the clock"),
        ({"suspend": True}, "suspend: wanted none on Volcano, found True: a job of Volcano starts when"),
    ],
)
def test_an_option_that_volcano_lacks_is_refused(cluster: dict[str, Any], said: str) -> None:
    with pytest.raises(Misdescribed) as refused:
        volcano(cluster=cluster)
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize("kind", ["train", "pairs", "bridge"])
def test_a_job_has_the_name_that_a_jobset_would_have(kind: Kind) -> None:
    assert volcano(work(kind))["metadata"]["name"] == rendered("jobset", work(kind))["metadata"]["name"]
