"""A real API server lets in what has a digest and comes from a listed registry, wherever an image stands."""

import copy
import time
from collections.abc import Iterator

import pytest

from fastgen_k8s.controller.crd import crd
from fastgen_k8s.pipeline.spec import API_VERSION
from tests.cluster.api import Api, Object, Refused
from tests.cluster.cluster import Cluster
from tests.cluster.custom import establish
from tests.manifests import test_images as offline
from tests.manifests.render import render
from tests.manifests.restricted import containers

pytestmark = pytest.mark.cluster

POLICY = "validatingadmissionpolicies.v1.admissionregistration.k8s.io"
VERSIONS = {"Pod": "v1", "Job": "batch/v1", "JobSet": "jobset.x-k8s.io/v1alpha2", "DistillationPipeline": API_VERSION}
PLACES = ["container", "init container", "job", "JobSet", "pipeline", "stage"]  # that can stand in a new object here
WANTED = "image: wanted NAME@sha256:... of a registry that this cluster allows, found"


@pytest.fixture(scope="module")
def namespace(api: Cluster) -> Iterator[str]:
    """A namespace in which the policy holds, with one registry."""
    establish(api.api, [crd()])
    with api.namespace("policed") as name:
        api.api.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
        )
        for found in render("components/image-policy"):
            if found["metadata"]["name"] != "fastgen-images":
                continue
            made = copy.deepcopy(found)
            if made["kind"] == "ValidatingAdmissionPolicy":
                made["spec"] = offline.policy("registry.example/team/")
            else:
                [where] = made["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
                where["values"] = [name]
            api.api.apply(made)
        until = time.monotonic() + 60
        while WANTED not in (refusal(api.api, made_of("job", "trainer:1", name)) or ""):  # nothing else tells it
            assert time.monotonic() < until
            time.sleep(0.1)
        yield name
        api.api.delete(f"validatingadmissionpolicybindings.{POLICY.partition('.')[2]}", "fastgen-images")
        api.api.delete(POLICY, "fastgen-images")


def made_of(place: str, image: str, namespace: str) -> Object:
    """A whole object with an image in a place."""
    made = copy.deepcopy(offline.places(image)[place])
    made |= {"apiVersion": VERSIONS[made["kind"]], "metadata": {"name": "tried", "namespace": namespace}}
    if made["kind"] == "Job":
        made["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    if made["kind"] == "Pod":  # as the namespace asks of it
        made["spec"]["securityContext"] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        for one in containers(made["spec"]):
            one["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return made


def refusal(api: Api, made: Object) -> str | None:
    """What the server says against a new object."""
    try:
        api.create(made, dryRun="All")
    except Refused as refused:
        return str(refused)
    return None


@pytest.mark.parametrize("place", PLACES)
def test_an_image_with_a_digest_of_a_listed_registry_is_taken(api: Cluster, namespace: str, place: str) -> None:
    assert refusal(api.api, made_of(place, offline.FINE, namespace)) is None


@pytest.mark.parametrize("image", ["registry.example/team/trainer:1", f"registry.example/trainer:1{offline.DIGEST}"])
@pytest.mark.parametrize("place", PLACES)
def test_any_other_image_is_refused_by_its_name(api: Cluster, namespace: str, place: str, image: str) -> None:
    assert f'{WANTED} "{image}"' in (refusal(api.api, made_of(place, image, namespace)) or "taken")
