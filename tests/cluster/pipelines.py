# pyright: basic
"""Pipelines in a namespace of a real API server, with a real store and real controllers; who runs jobs is played."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fastgen_k8s.artifacts import store_at
from tests import s3_server
from tests.cluster.api import Object
from tests.cluster.cluster import Cluster
from tests.cluster.controllers import Controller, forked, running
from tests.cluster.installed import PIPELINES, stage, succeeded
from tests.cluster.simulated import JOBSETS, Act, Simulated, at_once

EXPERIMENT = {"experiment": "closed_form/gaussian_kd"}
LEASES, LEASE = "leases.v1.coordination.k8s.io", "fastgen-controller"
ONCE = [("conditions", 1), ("pairs", 1), ("kd", 1)]
"""Stage and attempt of each job that a pipeline has whose stages succeed at once."""
UNDISTURBED = [(name, "Succeeded", attempt, 0) for name, attempt in ONCE]
"""What is then to be read in its status."""

__all__ = ["PIPELINES", "stage", "succeeded"]  # of `installed`, which has them for real pipelines


@dataclass
class Place:
    """A namespace with pipelines in it."""

    cluster: Cluster
    namespace: str
    root: str
    environment: dict[str, str]

    def controller(
        self, *words: str, program: str = "", through: Path | None = None
    ) -> AbstractContextManager[Controller]:
        """A replica that reconciles this namespace; `through`: by this kubeconfig."""
        kubeconfig = through or self.cluster.kubeconfig
        return running(kubeconfig, self.environment, *self._where, *words, program=program)

    def fork(self, *words: str, through: Path | None = None) -> AbstractContextManager[Controller]:
        """The same, started in a part of the time."""
        return forked(through or self.cluster.kubeconfig, self.environment, *self._where, *words)

    def apply(self, name: str = "tiny", change: Callable[[Object], None] = lambda spec: None) -> Object:
        """A pipeline of three stages: encode, pairs, train."""
        spec = {"root": f"{self.root}/{name}", "image": "fastgen-k8s/trainer:test", "stages": stages(self.root)}
        change(spec)
        place = {"name": name, "namespace": self.namespace}
        made = {"apiVersion": "fastgen-k8s.github.io/v1alpha1", "kind": "DistillationPipeline", "metadata": place}
        return self.cluster.api.apply(made | {"spec": spec})

    def get(self, name: str = "tiny") -> Object:
        return self.cluster.api.get(PIPELINES, name, self.namespace)

    def merge(self, change: Object, name: str = "tiny") -> Object:
        return self.cluster.api.merge(PIPELINES, name, change, self.namespace)

    def wait(self, done: Callable[[Object], bool], name: str = "tiny", timeout: float = 120) -> Object:
        """Wait until the status of a pipeline is as wanted."""
        return self.cluster.wait_for(
            PIPELINES, name, lambda found: bool(found.get("status")) and done(found["status"]), self.namespace, timeout
        )["status"]

    def finished(self, name: str = "tiny", timeout: float = 120) -> Object:
        """Wait for the end of a pipeline's present generation."""
        generation = self.get(name)["metadata"]["generation"]

        def ended(status: Object) -> bool:
            said = succeeded(status)
            return said["status"] != "Unknown" and said["observedGeneration"] == generation

        return self.wait(ended, name, timeout)

    def jobs(self) -> list[str]:
        return sorted(self.cluster.api.list(JOBSETS, self.namespace))

    def lease(self) -> Object:
        """What the Lease of its controllers says."""
        return self.cluster.api.get(LEASES, LEASE, self.namespace)["spec"]

    def another_leads(self, was: str) -> None:
        """Wait until the Lease has another holder."""

        def taken(lease: Object) -> bool:
            return lease["spec"].get("holderIdentity", "") not in ("", was)

        self.cluster.wait_for(LEASES, LEASE, taken, self.namespace)

    @property
    def _where(self) -> tuple[str, ...]:
        return "--namespace", self.namespace, "--lease-namespace", self.namespace


def stages(root: str) -> list[Object]:
    return [
        {"name": "conditions", "kind": "encode", "inputs": {"prompts": f"{root}/prompts.txt"}} | EXPERIMENT,
        {"name": "pairs", "kind": "pairs", "inputs": {"conditions": "conditions"}} | EXPERIMENT,
        {"name": "kd", "kind": "train", "inputs": {"conditions": "conditions", "pairs": "pairs"}} | EXPERIMENT,
    ]


def ends(status: Object) -> list[tuple[str, str, int, int]]:
    """Each stage's name and state, its attempts, and those that count as failures."""
    return [(one["name"], one["state"], one["attempt"], one["failures"]) for one in status["stages"]]


def made(simulated: Simulated, place: Place, name: str = "tiny") -> list[tuple[str, int]]:
    """Stage and attempt of each job that a pipeline ever had."""
    return simulated.made[f"{place.namespace}/{name}"]


@contextmanager
def new_place(cluster: Cluster, store: s3_server.Server) -> Iterator[Place]:
    """A namespace of its own, and a root with prompts."""
    with cluster.namespace("dp") as namespace:
        root = store.place()
        store_at(root).put("prompts.txt", b"turning left\n")
        yield Place(cluster, namespace, root, store.environment())


@contextmanager
def played(place: Place, play: Callable[[str, int], Act] = at_once) -> Iterator[Simulated]:
    """Who runs the jobs of a place; at the end no job has been made twice."""
    with Simulated(place.cluster.api, play, place.namespace) as simulated:
        yield simulated
    assert simulated.twice == []
