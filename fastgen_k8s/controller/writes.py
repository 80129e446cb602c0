"""What the controller writes to a cluster; each write asks first whether this replica still leads."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from fastgen_k8s.controller.children import Child
from fastgen_k8s.controller.crd import PLURAL
from fastgen_k8s.kube.connection import Connection, Refused
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.jobs import Backend
from fastgen_k8s.lifecycle.status import rfc3339
from fastgen_k8s.pipeline.spec import API_VERSION, OBJECT_KIND

OWNER = "fastgen-controller"  # of the fields that it applies


class NotLeading(Exception):
    """The Lease has passed, or is about to: another replica does it."""


class Writes:
    """The few kinds of writes that there are."""

    def __init__(self, connection: Connection, holds: Callable[[], bool]) -> None:
        self._connection, self._holds = connection, holds

    def status(self, found: Object, status: Mapping[str, Any]) -> Object:
        """The whole status of a pipeline; refused with 409 when the object has changed since it was `found`."""
        self._ask()
        meta = found["metadata"]
        named = {name: meta[name] for name in ("name", "namespace", "resourceVersion")}
        body = {"apiVersion": API_VERSION, "kind": OBJECT_KIND, "metadata": named, "status": status}
        return self._connection.apply(f"{path(meta['namespace'], meta['name'])}/status", body, field_manager=OWNER)

    def create(self, backend: Backend, job: Object) -> Object:
        """A job."""
        self._ask()
        meta = job["metadata"]
        return self._connection.apply(backend.path(meta["namespace"], meta["name"]), job, field_manager=OWNER)

    def delete(self, namespace: str, child: Child) -> None:
        """Remove a job: its pods are asked to end and have their grace. One that is another by now stays."""
        self._ask()
        try:
            self._connection.delete(child.backend.path(namespace, child.name), uid=child.uid)
        except Refused as refusal:
            if refusal.status != 409:
                raise

    def forget(self, found: Object) -> None:
        """Remove a pipeline that has outlived its time."""
        self._ask()
        meta = found["metadata"]
        self._connection.delete(path(meta["namespace"], meta["name"]), uid=meta["uid"])

    def event(self, found: Object, kind: str, reason: str, message: str, mark: str, now: float) -> None:
        """Tell people. The same mark makes the same event, which is told once."""
        self._ask()
        meta, time = found["metadata"], rfc3339(now)
        name = hashlib.sha256(f"{meta['uid']}/{reason}/{mark}".encode()).hexdigest()[:16]
        target = {"apiVersion": API_VERSION, "kind": OBJECT_KIND}
        target |= {field: meta[field] for field in ("name", "namespace", "uid")}
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{meta['name']}.{name}", "namespace": meta["namespace"]},
            "involvedObject": target,
            "type": kind,
            "reason": reason,
            "message": message[:1024],
            "source": {"component": OWNER},
            "reportingComponent": OWNER,
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": 1,
        }
        try:
            self._connection.post(f"/api/v1/namespaces/{meta['namespace']}/events", body)
        except Refused as refusal:
            if refusal.status != 409:
                raise

    def _ask(self) -> None:
        if not self._holds():
            raise NotLeading


def path(namespace: str, name: str = "") -> str:
    """Where the API server has a pipeline, or all of a namespace."""
    found = f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}"
    return f"{found}/{name}" if name else found
