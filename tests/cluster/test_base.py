"""Base and queues put there for real: jobs of the launcher get their pool's quota, and their pods pass every gate."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import jobsets
from tests.cluster.api import Object, State
from tests.cluster.cluster import Cluster
from tests.cluster.conditions import holds
from tests.cluster.custom import establish
from tests.cluster.queues import WORKLOADS
from tests.manifests.jobs import job
from tests.manifests.render import render

pytestmark = pytest.mark.cluster

NAMESPACE, OWN = "fastgen", "fastgen-system"
QUEUED = {"queue": "fastgen", "queue_priority": "fastgen-training", "priority_class": "fastgen-training"}


@pytest.fixture(scope="module")
def standing(kueue: Cluster) -> Iterator[Cluster]:
    """The base and the queues; the controller's pods have no node here, and must not get one later."""
    made = render("components/kueue")
    establish(kueue.api, [one for one in made if one["kind"] == "CustomResourceDefinition"])
    for one in sorted(made, key=lambda one: one["kind"] != "Namespace"):
        if one["kind"] != "CustomResourceDefinition":
            kueue.api.apply(one)
    yield kueue
    kueue.api.delete("deployments.v1.apps", "fastgen-controller", OWN)


@pytest.fixture
def place(standing: Cluster) -> Iterator[Cluster]:
    """The same, with no job in it before and after."""
    yield standing
    for name in standing.api.list(jobsets.RESOURCE, NAMESPACE):
        standing.delete_wholly(jobsets.RESOURCE, name, NAMESPACE)  # the next test counts pods
    standing.watch_until(WORKLOADS, lambda found: not found, NAMESPACE)


def flavors(found: State) -> set[str]:
    """The flavours from which admitted workloads have their resources."""
    return {
        flavor
        for workload in found.values()
        if holds(workload, "Admitted")
        for assigned in workload["status"]["admission"]["podSetAssignments"]
        for flavor in assigned["flavors"].values()
    }


WHERE: dict[str, tuple[dict[str, Any], str]] = {
    "a job of the training pool": ({"pool": "training", "resource": "h100_8", "processes": 8}, "fastgen-training"),
    "a job of the spot pool": ({"pool": "spot", "resource": "l40s_1"}, "fastgen-spot"),
    "a job of the CPU pool": ({"pool": "cpu"}, "fastgen-cpu"),
    "a job without GPUs and pool": ({}, "fastgen-cpu"),
}


@pytest.mark.parametrize("case", WHERE)
def test_a_job_has_its_quota_from_its_pool(place: Cluster, case: str) -> None:
    placement, flavor = WHERE[case]
    place.api.create(job(QUEUED, **placement))
    found = place.watch_until(WORKLOADS, lambda found: bool(flavors(found)), NAMESPACE)
    assert flavors(found) == {flavor}


def test_the_pods_of_a_job_pass_quota_limits_and_pod_security(place: Cluster) -> None:
    place.api.create(job(QUEUED, pool="training", resource="h100_8", processes=8))

    def all_there(found: State) -> bool:
        return sorted(map(component, found.values())) == ["rendezvous", "trainer", "trainer"]

    pods = place.watch_until("pods", all_there, NAMESPACE, selector="fastgen-k8s.github.io/job")
    assert {one["spec"]["nodeSelector"]["fastgen-k8s.github.io/pool"] for one in pods.values()} == {"training"}


def test_the_controllers_pods_pass_pod_security_in_a_namespace_of_their_own(standing: Cluster) -> None:
    selector = "app.kubernetes.io/component=controller"
    found = standing.watch_until("pods", lambda found: len(found) == 2, OWN, selector=selector)
    assert {one["spec"]["priority"] for one in found.values()} == {20000}


def test_what_a_namespace_may_ask_for_has_an_end(place: Cluster) -> None:
    place.api.create(job(pool="training", resource="h100_8", processes=1, nodes="16"))
    place.watch_until(
        "events", lambda found: any("exceeded quota: fastgen" in one["message"] for one in found.values()), NAMESPACE
    )


def component(pod: Object) -> str:
    return pod["metadata"]["labels"].get("app.kubernetes.io/component", "")
