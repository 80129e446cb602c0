# pyright: basic
"""Why a stage waits, as its status says it, where real schedulers, quotas and queues keep it waiting."""

from collections.abc import Callable, Iterator

import pytest

from fastgen_k8s.controller.children import JOB, RETRY
from tests import s3_server
from tests.cluster import queues
from tests.cluster.api import Object
from tests.cluster.cluster import Cluster
from tests.cluster.custom import establish
from tests.cluster.pipelines import Place, new_place, stage
from tests.manifests.render import render

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


@pytest.fixture
def place(kueue: Cluster, store: s3_server.Server) -> Iterator[Place]:
    """A namespace with the trainers' account, on a cluster that has no node for them."""
    establish(kueue.api, [one for one in render("base") if one["kind"] == "CustomResourceDefinition"])
    with new_place(kueue, store) as made:
        account = {"name": "fastgen-trainer", "namespace": made.namespace}
        kueue.api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        yield made


def quota(place: Place) -> list[Object]:
    name = {"name": "small", "namespace": place.namespace}
    return [{"apiVersion": "v1", "kind": "ResourceQuota", "metadata": name, "spec": {"hard": {"pods": "0"}}}]


def no_room(place: Place) -> list[Object]:
    return queues.with_room_for_one(place.namespace, {"cpu": "1m", "memory": "1Mi", "ephemeral-storage": "1Gi"})


def nothing(_: Place) -> list[Object]:
    return []


IN_POOL = {"placement": {"pool": "training"}}
WHY: dict[str, tuple[Callable[[Place], list[Object]], Object, Object, tuple[str, ...]]] = {
    "no node of its pool": (nothing, {}, IN_POOL, ("waits for a node of pool training: ", "available")),
    "the namespace's quota": (quota, {}, {}, ("no pod can be made: ", "exceeded quota: small")),
    "a queue without room": (no_room, {"queue": "queue"}, {}, ("waits in queue queue: ", "insufficient")),
    "a queue that is not there": (nothing, {"queue": "nowhere"}, {}, ("waits in queue nowhere: ", "doesn't exist")),
}


@pytest.mark.parametrize("case", WHY)
def test_what_keeps_a_stage_from_working_stands_in_its_status(place: Place, case: str) -> None:
    there, more, its, wanted = WHY[case]
    for one in there(place):
        place.cluster.api.apply(one)

    def one_stage(spec: Object) -> None:
        spec |= more | {"stages": [spec["stages"][0] | its]}

    with place.controller() as controller:
        place.apply(change=one_stage)
        status = place.wait(
            lambda status: all(part in stage(status, "conditions").get("message", "") for part in wanted), timeout=60
        )
        assert stage(status, "conditions")["state"] == "Queued"
        reason = "PodsRefused" if "quota" in case else None
        assert stage(status, "conditions").get("reason") == reason
        if reason is not None:
            place.cluster.watch_until(
                "events", lambda seen: any(one["reason"] == reason for one in seen.values()), place.namespace
            )
        assert controller.faults() == []


def test_a_stage_that_cannot_start_follows_its_correction_and_counts_nothing(place: Place) -> None:
    """In the wrong pool, then in the right one; then with another image; then because somebody asks."""

    def one_stage(spec: Object) -> None:
        spec["stages"] = [spec["stages"][0] | {"placement": {"pool": "nowhere"}}]

    def queued(attempt: int, pool: str) -> Object:
        def so(status: Object) -> bool:
            found = stage(status, "conditions")
            said = found.get("message", "").startswith(f"waits for a node of pool {pool}: ")
            return (found["attempt"], found["state"], said) == (attempt, "Queued", True)

        return stage(place.wait(so, timeout=60), "conditions")

    with place.controller() as controller:
        place.apply(change=one_stage)
        queued(1, "nowhere")
        corrected = place.get()["spec"]["stages"][0] | {"placement": {"pool": "training"}}
        place.merge({"spec": {"stages": [corrected]}})
        queued(2, "training")
        place.merge({"spec": {"image": "fastgen-k8s/trainer:other"}})
        found = queued(3, "training")
        pods = place.cluster.api.list("pods", place.namespace, selector=f"{JOB}={found['job']}")
        assert {one["spec"]["containers"][0]["image"] for one in pods.values()} == {"fastgen-k8s/trainer:other"}
        place.merge({"metadata": {"annotations": {RETRY: "conditions 2026-01-01T00:00:00Z"}}})
        found = queued(4, "training")
        assert (found["failures"], found["exitClass"], place.jobs()) == (0, "Replaced", [found["job"]])
        assert controller.faults() == []
