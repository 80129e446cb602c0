"""Kueue: a queue of one place admits, makes wait, and takes the place away for a higher priority."""

# pyright: reportMissingTypeStubs=false

from collections.abc import Iterator
from pathlib import Path

import pytest

from fastgen_k8s.kube.api import Api
from fastgen_k8s.launch.jobs import ClusterJobs
from fastgen_k8s.launch.jobset import JOBSET
from fastgen_k8s.launch.outcome import JobState, jobset_state
from tests.cluster import jobsets, queues
from tests.cluster.api import Object
from tests.cluster.cluster import Cluster
from tests.cluster.jobsets import python
from tests.cluster.proxy import Proxy

pytestmark = pytest.mark.cluster

LONG = python("import signal; signal.pause()")


@pytest.fixture
def namespace(kueue: Cluster) -> Iterator[str]:
    """A namespace with a queue that has room for one small JobSet."""
    with kueue.namespace("queue") as made:
        for one in queues.with_room_for_one(made):
            kueue.api.apply(one)
        yield made
        for name in kueue.api.list(jobsets.RESOURCE, made):
            kueue.api.delete(jobsets.RESOURCE, name, made)


def test_a_second_jobset_waits_until_the_first_is_gone(kueue: Cluster, namespace: str) -> None:
    kueue.api.create(queues.queued("first", namespace, LONG))
    kueue.wait_for(jobsets.RESOURCE, "first", jobsets.admitted, namespace)
    kueue.api.create(queues.queued("second", namespace, LONG))
    kueue.watch_until(queues.WORKLOADS, queues.waiting("second"), namespace)
    kueue.api.delete(jobsets.RESOURCE, "first", namespace)
    kueue.wait_for(jobsets.RESOURCE, "second", jobsets.admitted, namespace)


def test_a_higher_priority_takes_the_place_of_a_lower_one(kueue: Cluster, namespace: str) -> None:
    kueue.api.create(queues.queued("low", namespace, LONG, priority="low"))
    kueue.wait_for(jobsets.RESOURCE, "low", jobsets.admitted, namespace)
    kueue.api.create(queues.queued("high", namespace, LONG, priority="high"))
    kueue.wait_for(jobsets.RESOURCE, "high", jobsets.admitted, namespace)
    kueue.wait_for(jobsets.RESOURCE, "low", jobsets.suspended, namespace)


def test_a_preempted_jobset_is_admitted_again(kueue: Cluster, namespace: str) -> None:
    kueue.api.create(queues.queued("low", namespace, LONG, priority="low"))
    kueue.wait_for(jobsets.RESOURCE, "low", jobsets.admitted, namespace)
    kueue.api.create(queues.queued("high", namespace, LONG, priority="high"))
    kueue.wait_for(jobsets.RESOURCE, "low", jobsets.suspended, namespace)
    kueue.api.delete(jobsets.RESOURCE, "high", namespace)
    kueue.wait_for(jobsets.RESOURCE, "low", jobsets.admitted, namespace)


@pytest.fixture
def people(front: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterJobs:
    """What `torchx cancel` talks to the cluster with."""
    monkeypatch.setenv("KUBECONFIG", str(front.kubeconfig(tmp_path)))
    return ClusterJobs(Api(), JOBSET)


def check_out_of_the_queue(kueue: Cluster, namespace: str, name: str) -> None:
    """Whether a JobSet holds no place, in a queue of one place, and is called cancelled."""
    kueue.api.create(queues.queued("next", namespace, LONG))
    kueue.wait_for(jobsets.RESOURCE, "next", jobsets.admitted, namespace)
    found = kueue.api.get(jobsets.RESOURCE, name, namespace)
    assert (jobset_state(found), found["spec"]["suspend"]) == (JobState.CANCELLED, True)


def test_a_jobset_that_is_cancelled_before_kueue_has_seen_it_is_stopped_even_if_that_admits_it_meanwhile(
    kueue: Cluster, namespace: str, people: ClusterJobs, front: Proxy
) -> None:
    kueue.api.create(queues.no_workloads(namespace))  # until somebody has looked for one
    kueue.wait_for("resourcequotas", "none", lambda found: "hard" in found.get("status", {}), namespace)

    def seen(_number: int, _verb: str, path: str) -> None:
        if path.endswith("/workloads") and "none" in kueue.api.list("resourcequotas", namespace):
            kueue.api.delete("resourcequotas", "none", namespace)

    front.on_answer = seen
    kueue.api.create(queues.queued("early", namespace, LONG))
    people.cancel(namespace, "early")
    check_out_of_the_queue(kueue, namespace, "early")


def test_a_jobset_that_is_cancelled_while_it_runs_gives_its_place(
    kueue: Cluster, namespace: str, people: ClusterJobs
) -> None:
    kueue.api.create(queues.queued("running", namespace, LONG))
    kueue.wait_for(jobsets.RESOURCE, "running", jobsets.admitted, namespace)
    people.cancel(namespace, "running")
    check_out_of_the_queue(kueue, namespace, "running")


@pytest.mark.parametrize(
    ("keys", "selectors"),
    [
        (("pool", "pool"), {"pool": "two"}),
        (("pool", "other"), {"pool": "one", "other": "two"}),  # which no node has: so ours share one key
    ],
    ids=["one key", "two keys"],
)
def test_a_jobset_that_moves_to_another_flavour_keeps_the_keys_of_the_first(
    kueue: Cluster, namespace: str, keys: tuple[str, str], selectors: dict[str, str]
) -> None:
    for one in queues.with_two_flavours(namespace, {keys[0]: "one"}, {keys[1]: "two"}):
        kueue.api.apply(one)
    kueue.api.create(queues.queued("moved", namespace, LONG, priority="low"))
    kueue.wait_for(jobsets.RESOURCE, "moved", jobsets.admitted, namespace)
    queues.activate(kueue, "moved", namespace, active=False)
    kueue.wait_for(jobsets.RESOURCE, "moved", jobsets.suspended, namespace)
    kueue.api.create(queues.queued("instead", namespace, LONG, priority="low"))
    kueue.wait_for(jobsets.RESOURCE, "instead", jobsets.admitted, namespace)
    queues.activate(kueue, "moved", namespace, active=True)
    kueue.wait_for(jobsets.RESOURCE, "moved", jobsets.admitted, namespace)

    def selected(found: Object) -> bool:
        return found["spec"]["template"]["spec"].get("nodeSelector") == selectors

    kueue.wait_for("jobs.v1.batch", "moved-trainer-0", selected, namespace)
