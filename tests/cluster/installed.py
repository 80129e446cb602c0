# pyright: basic
"""The base of the manifests on a cluster with kubelets, its controller running there as a Deployment."""

import copy
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.cluster.api import Object
from tests.cluster.cluster import Cluster
from tests.cluster.conditions import holds
from tests.cluster.custom import establish
from tests.cluster.images import CONTROLLER_IMAGE, TRAINER_IMAGE
from tests.cluster.storage import Storage
from tests.manifests.render import render

NAMESPACE, OWN = "fastgen", "fastgen-system"  # of pipelines, and the controller's
PIPELINES = "distillationpipelines.v1alpha1.fastgen-k8s.github.io"
_DEPLOYMENTS = "deployments.v1.apps"


@dataclass(frozen=True)
class Installed:
    """A cluster with our controller in it, and a bucket's prefix for the pipelines of a test."""

    cluster: Cluster
    root: str
    applied: set[str] = field(default_factory=set[str])

    def apply(self, described: Object, name: str, change: Callable[[Object], None] = lambda spec: None) -> Object:
        """A pipeline file as a person applies it, with this bucket, the tests' image and small pods."""
        made = copy.deepcopy(described)
        made["metadata"] = {"name": name, "namespace": NAMESPACE}
        made["spec"] |= {"root": f"{self.root}/{name}", "image": TRAINER_IMAGE}
        for stage in made["spec"]["stages"]:
            stage["placement"] = {"resource": "cpu_tiny"} | stage.get("placement", {})
        change(made["spec"])
        self.applied.add(name)
        return self.cluster.api.apply(made)

    def get(self, name: str) -> Object:
        return self.cluster.api.get(PIPELINES, name, NAMESPACE)

    def wait(self, name: str, done: Callable[[Object], bool], timeout: float = 180) -> Object:
        """Wait until a pipeline's status is as wanted."""
        return self.cluster.wait_for(
            PIPELINES, name, lambda found: bool(found.get("status")) and done(found["status"]), NAMESPACE, timeout
        )["status"]

    def finished(self, name: str, timeout: float = 300) -> Object:
        """Wait for the end of a pipeline's present generation."""
        generation = self.get(name)["metadata"]["generation"]

        def ended(status: Object) -> bool:
            said = succeeded(status)
            return said["status"] != "Unknown" and said["observedGeneration"] == generation

        return self.wait(name, ended, timeout)

    def pods(self, name: str) -> dict[str, Object]:
        """The pods that a pipeline has now."""
        return self.cluster.api.list("pods", NAMESPACE, f"fastgen-k8s.github.io/pipeline={name}")


def succeeded(status: Object) -> Object:
    """The condition that says how a pipeline stands."""
    unknown = {"status": "Unknown", "reason": "", "message": "", "observedGeneration": 0}
    return next((one for one in status.get("conditions", ()) if one["type"] == "Succeeded"), unknown)


def stage(status: Object, name: str) -> Object:
    """A stage's status."""
    return next((one for one in status.get("stages", ()) if one["name"] == name), {"state": ""})


@contextmanager
def installed(cluster: Cluster, storage: Storage, root: str) -> Generator[Installed]:
    """Until the block ends; its pipelines go first, so that their jobs go with them.

    A Secret that pods take their environment from must not outlive it: what another test applies is merged into it.
    """
    made = render("base")
    establish(cluster.api, [one for one in made if one["kind"] == "CustomResourceDefinition"])
    others = [one for one in made if one["kind"] not in ("CustomResourceDefinition", "Deployment")]
    for one in sorted(others, key=lambda one: one["kind"] != "Namespace"):
        cluster.api.apply(one)
    for place, said in keys(storage):
        storage.offer(cluster.api, place["namespace"])
        cluster.api.apply({"apiVersion": "v1", "kind": "Secret", "metadata": place, "stringData": said})
    for one in copy.deepcopy([one for one in made if one["kind"] == "Deployment"]):  # a pod has the Secret of its start
        for container in one["spec"]["template"]["spec"]["containers"]:
            container["image"] = CONTROLLER_IMAGE
        cluster.api.apply(one)
    cluster.wait_for(_DEPLOYMENTS, "fastgen-controller", lambda one: holds(one, "Available"), OWN, timeout=120)
    made_here = Installed(cluster, root)
    try:
        yield made_here
    finally:
        for name in made_here.applied & cluster.api.list(PIPELINES, NAMESPACE).keys():
            cluster.delete_wholly(PIPELINES, name, NAMESPACE)
        cluster.api.delete(_DEPLOYMENTS, "fastgen-controller", OWN)
        for place, _ in keys(storage):
            cluster.api.delete("secrets", place["name"], place["namespace"])


def keys(storage: Storage) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """The Secrets of jobs and of the controller, which only reads: where each is, and what it says."""
    yield {"name": "fastgen-s3", "namespace": NAMESPACE}, storage.environment(in_pods=True)
    yield {"name": "fastgen-s3-reader", "namespace": OWN}, storage.reading()
