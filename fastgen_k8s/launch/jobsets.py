"""JobSets in a cluster, with their pods: put there, looked at, followed, cancelled, removed."""
# pyright: reportMissingTypeStubs=false

import time
from collections.abc import Iterator, Mapping
from typing import Any

from torchx.specs import AppState

from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.launch.api import Api, Found
from fastgen_k8s.launch.cluster import GROUP
from fastgen_k8s.launch.outcome import CANCELLED, COMPONENT, INDEX, app_state

ENDED = (AppState.SUCCEEDED, AppState.FAILED, AppState.CANCELLED)
_OURS = "app.kubernetes.io/name=fastgen-k8s"
_LOOK_EVERY = 1.0  # seconds
_REMOVAL = 120.0  # seconds that the pods of an earlier job of the same name may take to end


class JobSets:
    """The JobSets of one cluster. Every method raises a FastgenError in one line for what the server refuses."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def find(self, namespace: str, name: str) -> Found | None:
        """The JobSet of that name."""
        return self.api.find(_path(namespace, name))

    def ours(self, namespace: str) -> list[Found]:
        """All JobSets in a namespace that we made."""
        found = self.api.find(_path(namespace), labelSelector=_OURS)
        if found is None:
            raise BadInput("wanted the kind JobSet in this cluster, found none: is JobSet installed?")
        return list(found["items"])

    def submit(self, body: Mapping[str, Any]) -> None:
        """Create a JobSet, in the place of an ended one of its name; Misdescribed when that one has not ended."""
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        earlier = self.find(namespace, name)
        if earlier is not None:
            self._make_way(earlier)
        self.api.create(_path(namespace), body)

    def pods(self, namespace: str, name: str) -> list[Found]:
        """The pods of a JobSet that the cluster still has, the oldest first."""
        return self._owned(f"/api/v1/namespaces/{namespace}/pods", name)

    def jobs(self, namespace: str, name: str) -> list[Found]:
        """The Jobs of a JobSet."""
        return self._owned(f"/apis/batch/v1/namespaces/{namespace}/jobs", name)

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
            if not follow or found is None or app_state(found) in ENDED:
                return
            time.sleep(_LOOK_EVERY)

    def cancel(self, namespace: str, name: str) -> None:
        """Ask its pods to stop, and keep the JobSet; Kueue must not start it again."""
        change = {"metadata": {"annotations": {CANCELLED: "true"}}, "spec": {"suspend": True}}
        found = self.api.patch(_path(namespace, name), change)
        if "kueue.x-k8s.io/queue-name" in found["metadata"].get("labels", {}):
            where = f"/apis/kueue.x-k8s.io/v1beta2/namespaces/{namespace}/workloads"
            workloads = self.api.find(where, labelSelector=f"kueue.x-k8s.io/job-uid={found['metadata']['uid']}")
            for one in (workloads or {"items": ()})["items"]:
                self.api.patch(f"{where}/{one['metadata']['name']}", {"spec": {"active": False}})

    def delete(self, namespace: str, name: str) -> None:
        """Remove a JobSet and all that belongs to it."""
        self.api.delete(_path(namespace, name))

    def _make_way(self, earlier: Found) -> None:
        namespace, name = earlier["metadata"]["namespace"], earlier["metadata"]["name"]
        state = app_state(earlier)
        if state not in ENDED:
            raise Misdescribed(f"{namespace}/{name}: wanted no job of this name or an ended one, found it {state}")
        self.delete(namespace, name)
        until = time.monotonic() + _REMOVAL
        while self.find(namespace, name) is not None or self.pods(namespace, name):
            if time.monotonic() > until:
                raise BadInput(f"{namespace}/{name}: wanted the earlier job gone, found its pods after {_REMOVAL:g} s")
            time.sleep(_LOOK_EVERY)

    def _owned(self, path: str, name: str) -> list[Found]:
        found = self.api.find(path, labelSelector=f"{GROUP}/job={name}")
        items: list[Found] = list(found["items"]) if found else []
        return sorted(items, key=lambda one: str(one["metadata"]["creationTimestamp"]))


def _path(namespace: str, name: str = "") -> str:
    path = f"/apis/jobset.x-k8s.io/v1alpha2/namespaces/{namespace}/jobsets"
    return f"{path}/{name}" if name else path


def _is(pod: Found, role: str, index: int) -> bool:
    labels = pod["metadata"]["labels"]
    return (labels.get(COMPONENT), int(labels.get(INDEX, 0))) == (role, index)
