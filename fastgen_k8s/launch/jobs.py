"""Jobs in a cluster with their pods, for every backend: put there, looked at, followed, cancelled, removed."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.kube.api import Api
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.cluster import GROUP, Cluster
from fastgen_k8s.launch.launch import Launch
from fastgen_k8s.launch.outcome import COMPONENT, ENDED, JobState, controller, number, owns

_OURS = "app.kubernetes.io/name=fastgen-k8s"
_LOOK_EVERY = 1.0  # seconds
_REMOVAL = 120.0  # seconds that the pods of an earlier job of the same name may take to end


class Backend(NamedTuple):
    """A kind of object that runs our jobs, and what is special to it."""

    kind: str
    product: str  # what has to be installed
    group: str  # with the version
    plural: str
    render: Callable[[Launch, Cluster], Object]
    state: Callable[[Object], JobState]
    said: Callable[[Object], str]  # about itself, for a person
    cancel: Callable[[Api, str, Object], None]  # the job at a path: its pods are asked to stop, it stays

    def path(self, namespace: str, name: str = "") -> str:
        """Where the API server has a job, or all of a namespace."""
        path = f"/apis/{self.group}/namespaces/{namespace}/{self.plural}"
        return f"{path}/{name}" if name else path


class ClusterJobs:
    """The jobs of one cluster and one kind. Every method raises a FastgenError in one line for what it is refused."""

    def __init__(self, api: Api, backend: Backend) -> None:
        self.api, self.backend = api, backend

    def find(self, namespace: str, name: str) -> Object | None:
        """The job of that name."""
        return self.api.find(self.backend.path(namespace, name))

    def ours(self, namespace: str) -> list[Object]:
        """All jobs in a namespace that we made."""
        found = self.api.find(self.backend.path(namespace), labelSelector=_OURS)
        if found is None:
            kind, product = self.backend.kind, self.backend.product
            raise BadInput(f"wanted the kind {kind} in this cluster, found none: is {product} installed?")
        return list(found["items"])

    def submit(self, body: Mapping[str, Any]) -> None:
        """Create a job, in the place of an ended one of its name; Misdescribed when that one has not ended."""
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        earlier = self.find(namespace, name)
        if earlier is not None:
            self._make_way(earlier)
        self.api.create(self.backend.path(namespace), body)

    def pods(self, namespace: str, name: str) -> list[Object]:
        """The pods of a job that the cluster still has, the oldest first."""
        return [pod for pod in self._named(f"/api/v1/namespaces/{namespace}/pods", name) if owns(name, pod)]

    def jobs(self, namespace: str, name: str) -> list[Object]:
        """The Jobs of Kubernetes that a job is made of, if it is."""
        there = self._named(f"/apis/batch/v1/namespaces/{namespace}/jobs", name)
        return [one for one in there if (owner := controller(one)) is not None and owner["name"] == name]

    def log(
        self, namespace: str, name: str, role: str, index: int, follow: bool, query: Mapping[str, str]
    ) -> Iterator[str]:
        """The lines of all pods that a replica had, to the end of the job when followed."""
        done: set[str] = set()
        while True:
            found = self.find(namespace, name)
            for pod in self.pods(namespace, name):
                uid, phase = pod["metadata"]["uid"], pod.get("status", {}).get("phase")
                if _is(pod, role, index) and uid not in done and phase != "Pending":
                    where = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}/log"
                    yield from self.api.lines(where, follow=str(follow).lower(), container=role, **query)
                    done.add(uid)
            if not follow or found is None or self.backend.state(found) in ENDED:
                return
            time.sleep(_LOOK_EVERY)

    def cancel(self, namespace: str, name: str) -> None:
        """Ask its pods to stop, and keep the job; nothing must start it again. An ended one stays what it is."""
        found = self.find(namespace, name)
        if found is None:
            raise BadInput(f"{namespace}/{name}: wanted a {self.backend.kind} to cancel, found none")
        if self.backend.state(found) not in ENDED:
            self.backend.cancel(self.api, self.backend.path(namespace, name), found)

    def delete(self, namespace: str, name: str) -> None:
        """Remove a job and all that belongs to it."""
        self.api.delete(self.backend.path(namespace, name))

    def _make_way(self, earlier: Object) -> None:
        namespace, name = earlier["metadata"]["namespace"], earlier["metadata"]["name"]
        state = self.backend.state(earlier)
        if state not in ENDED:
            raise Misdescribed(f"{namespace}/{name}: wanted no job of this name or an ended one, found it {state}")
        self.delete(namespace, name)
        until = time.monotonic() + _REMOVAL
        while self.find(namespace, name) is not None or self.pods(namespace, name):
            if time.monotonic() > until:
                raise BadInput(f"{namespace}/{name}: wanted the earlier job gone, found its pods after {_REMOVAL:g} s")
            time.sleep(_LOOK_EVERY)

    def _named(self, path: str, name: str) -> list[Object]:
        found = self.api.find(path, labelSelector=f"{GROUP}/job={name}")
        items: list[Object] = list(found["items"]) if found else []
        return sorted(items, key=lambda one: str(one["metadata"]["creationTimestamp"]))


def _is(pod: Object, role: str, index: int) -> bool:
    return (pod["metadata"]["labels"].get(COMPONENT), number(pod)) == (role, index)
