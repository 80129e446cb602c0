# pyright: basic
"""The controller in the name of its own service account, told what its Deployment tells it, under our policies."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.controller.children import RETRY
from tests import s3_server
from tests.cluster.accounts import token, with_token
from tests.cluster.api import Object
from tests.cluster.cluster import Cluster
from tests.cluster.controllers import Controller, running
from tests.cluster.custom import establish
from tests.cluster.simulated import JOBSETS, Act
from tests.cluster.test_controller import PIPELINES, Place, played, stage, succeeded
from tests.manifests.admission import POLICIES
from tests.manifests.namespaces import FIRST, OURS, SECOND, both

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

NAMESPACE, ACCOUNT = FIRST, "fastgen-controller"
LEFT_OUT = {"Deployment", "ResourceQuota"}  # the program runs here; without controllers a quota lets nothing in
COMPLAINTS = {"refused", "event refused", "not reached", "fault"}


@pytest.fixture(scope="module")
def installed(api: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two namespaces, and a kubeconfig of the controller's account; who reads the API is still an administrator."""
    made = both()
    establish(api.api, [one for one in made if one["kind"] == "CustomResourceDefinition"])
    for one in sorted(made, key=lambda one: one["kind"] != "Namespace"):
        if one["kind"] not in {*LEFT_OUT, "CustomResourceDefinition"}:
            api.api.apply(one)
    for namespace in (FIRST, SECOND):
        default = {"name": "default", "namespace": namespace}
        api.api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": default})
    said = token(api.api, OURS, ACCOUNT)
    yield Cluster(with_token(api.kubeconfig, said, tmp_path_factory.mktemp("account") / "kubeconfig"), api.api)
    for name in POLICIES:
        for kind in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
            api.api.delete(f"{kind}.v1.admissionregistration.k8s.io", name)


@pytest.fixture
def place(installed: Cluster, store: s3_server.Server) -> Iterator[Place]:
    """The namespace of the base, with no pipeline in it before and after."""
    yield from a_place(installed, store, FIRST)


@pytest.fixture
def other_place(installed: Cluster, store: s3_server.Server) -> Iterator[Place]:
    """The other namespace."""
    yield from a_place(installed, store, SECOND)


def a_place(installed: Cluster, store: s3_server.Server, namespace: str) -> Iterator[Place]:
    root = store.place()
    store_at(root).put("prompts.txt", b"turning left\n")
    yield Place(installed, namespace, root, store.environment())
    for name in installed.api.list(PIPELINES, namespace):
        installed.api.delete(PIPELINES, name, namespace)
    for name in installed.api.list(JOBSETS, namespace):
        installed.api.delete(JOBSETS, name, namespace)
    for name in installed.api.list("pods", namespace):  # no JobSet owns them: they were played
        installed.api.delete("pods", name, namespace, gracePeriodSeconds=0)


def told() -> list[str]:
    """The command line of the Deployment, but for the port."""
    [made] = [one for one in both() if one["kind"] == "Deployment"]
    [container] = made["spec"]["template"]["spec"]["containers"]
    values = {one["name"]: one["value"] for one in container["env"] if "value" in one} | {"POD_NAMESPACE": OURS}
    words = [word for word in container["args"] if not word.startswith("--port")]
    return [re.sub(r"\$\((\w+)\)", lambda found: values[found[1]], word) for word in words]  # as the kubelet does


@contextmanager
def content(place: Place) -> Iterator[Controller]:
    """A replica that in the end has nothing to complain about and gives its Lease to the next one."""
    with running(place.cluster.kubeconfig, place.environment, *told()) as controller:
        controller.ready()
        yield controller
        assert controller.terminate() == 0
        said = [one for one in controller.said if isinstance(one, str) or one.get("event") in COMPLAINTS]
    assert said == []


def changing(**more: object) -> Callable[[Object], None]:
    return lambda spec: spec.update(more)


def test_a_pipeline_runs_itself_and_in_the_end_is_removed(place: Place) -> None:
    with played(place) as simulated, content(place):
        place.apply(change=changing(ttlSecondsAfterFinished=1))
        place.cluster.wait_gone(PIPELINES, "tiny", NAMESPACE)
        assert simulated.made["fastgen/tiny"] == [("conditions", 1), ("pairs", 1), ("kd", 1)]
        reasons = {one["reason"] for one in place.cluster.api.list("events", NAMESPACE).values()}
        assert {"StageStarted", "StageSucceeded", "PipelineSucceeded"} <= reasons


def test_a_pipeline_of_another_namespace_runs_itself_beside_it(place: Place, other_place: Place) -> None:
    with played(place), played(other_place) as simulated, content(place):
        place.apply()
        other_place.apply()
        assert [succeeded(one.finished())["status"] for one in (place, other_place)] == ["True"] * 2
        assert simulated.made[f"{SECOND}/tiny"] == [("conditions", 1), ("pairs", 1), ("kd", 1)]


def test_a_failure_is_explained_and_the_stage_tried_again(place: Place) -> None:
    broken = [True]
    with played(place, lambda name, _: Act(70 if name == "pairs" and broken[0] else 0)), content(place):
        place.apply()
        assert stage(place.finished(), "pairs")["exitClass"] == "Unhealthy"
        broken[0] = False
        place.merge({"metadata": {"annotations": {RETRY: "pairs"}}})
        place.wait(lambda status: succeeded(status)["status"] == "True")


def test_a_pipeline_is_suspended_and_goes_on(place: Place) -> None:
    with played(place, lambda name, attempt: Act(forever=name == "kd" and attempt == 1)), content(place):
        place.apply()
        place.wait(lambda status: stage(status, "kd")["state"] == "Running")
        place.merge({"spec": {"suspend": True}})
        place.wait(lambda status: succeeded(status)["reason"] == "Suspended")
        place.merge({"spec": {"suspend": False}})
        assert succeeded(place.finished())["status"] == "True"


def test_why_no_pod_is_made_is_read_from_events(place: Place) -> None:
    def play(name: str, attempt: int) -> Act:
        return Act(forever=name == "pairs", pods=name != "pairs")

    with played(place, play), content(place):
        place.apply()
        waiting = stage(place.wait(lambda status: stage(status, "pairs").get("job") is not None), "pairs")
        about = {"kind": "Job", "namespace": NAMESPACE, "name": f"{waiting['job']}-trainer-0"}
        place.cluster.api.create(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": f"{waiting['job']}.1", "namespace": NAMESPACE},
                "involvedObject": about,
                "type": "Warning",
                "reason": "FailedCreate",
                "message": "exceeded quota: fastgen",
            }
        )
        place.wait(
            lambda status: stage(status, "pairs").get("message", "") == "no pod can be made: exceeded quota: fastgen"
        )
