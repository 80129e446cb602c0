"""The cluster as the reflectors know it, with the indices that one look at a pipeline needs."""

import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from fastgen_k8s.controller.children import JOB, PIPELINE, Child, child, owner
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.jobs import Backend
from fastgen_k8s.launch.outcome import owns

Key = tuple[str, str]  # namespace and name of a pipeline
Wake = Callable[[Key, float], None]

KUEUE_JOB = "kueue.x-k8s.io/job-uid"
_GATHER = 0.1  # seconds in which changes that hurry nobody become one look: of pods, and what we wrote ourselves


class ClusterView:
    """What was last heard of pipelines, their jobs and pods; changes wake the pipeline that they belong to."""

    def __init__(self, wake: Wake) -> None:
        self._wake, self._lock = wake, threading.Lock()
        self._pipelines: dict[Key, Object] = {}
        self._jobs: dict[str, dict[str, tuple[Object, Backend]]] = defaultdict(dict)  # pipeline's uid -> job's uid
        self._pods: dict[Key, dict[str, Object]] = defaultdict(dict)  # namespace and name of a job -> pod's uid
        self._workloads: dict[str, Object] = {}  # job's uid
        self._by_uid: dict[str, Object] = {}  # jobs

    # --- what reflectors tell ---

    def pipeline(self, old: Object | None, new: Object | None) -> None:
        """A pipeline was made, changed or removed."""
        key = key_of(new or old or {})
        with self._lock:
            if new is None:
                self._pipelines.pop(key, None)
            else:
                self._pipelines[key] = new
        self._wake(key, 0.0 if _asked(old) != _asked(new) else _GATHER)

    def job(self, backend: Backend) -> Callable[[Object | None, Object | None], None]:
        """What to call when a job of a backend was made, changed or removed."""

        def changed(old: Object | None, new: Object | None) -> None:
            one = new or old or {}
            uid = owner(one)
            if uid is None:
                return
            with self._lock:
                if new is None:
                    self._by_uid.pop(one["metadata"]["uid"], None)
                    self._jobs[uid].pop(one["metadata"]["uid"], None)
                    if not self._jobs[uid]:
                        del self._jobs[uid]
                else:
                    self._by_uid[one["metadata"]["uid"]] = new
                    self._jobs[uid][one["metadata"]["uid"]] = new, backend
            self._wake_of(one, 0.0 if old and new and old["status"] != new["status"] else _GATHER)

        return changed

    def pod(self, old: Object | None, new: Object | None) -> None:
        """A pod was made, changed or removed."""
        one = new or old or {}
        meta = one["metadata"]
        key = meta["namespace"], meta["labels"].get(JOB, "")
        with self._lock:
            if new is None:
                self._pods[key].pop(meta["uid"], None)
                if not self._pods[key]:
                    del self._pods[key]
            else:
                self._pods[key][meta["uid"]] = new
        self._wake_of(one, _GATHER)

    def workload(self, old: Object | None, new: Object | None) -> None:
        """Kueue's view of a job has changed."""
        one = new or old or {}
        uid = one["metadata"]["labels"].get(KUEUE_JOB)
        if uid is None:
            return
        with self._lock:
            if new is None:
                self._workloads.pop(uid, None)
            else:
                self._workloads[uid] = new
            job = self._by_uid.get(uid)
        if job is not None:
            self._wake_of(job, _GATHER)

    # --- what a look asks ---

    def find(self, key: Key) -> Object | None:
        """A pipeline."""
        with self._lock:
            return self._pipelines.get(key)

    def all(self) -> list[Object]:
        """Every pipeline."""
        with self._lock:
            return list(self._pipelines.values())

    def children(self, uid: str) -> list[Child]:
        """The jobs of a pipeline with their pods."""
        with self._lock:
            jobs = list(self._jobs.get(uid, {}).values())
            found = [child(job, self._pods.get(key_of(job), {}).values(), backend) for job, backend in jobs]
            return [one for one in found if one is not None]

    def pods(self, namespace: str, job: str) -> list[Object]:
        """The pods of a job, which may itself be gone."""
        with self._lock:
            return [pod for pod in self._pods.get((namespace, job), {}).values() if owns(job, pod)]

    def waits(self, job_uid: str) -> Object | None:
        """Kueue's view of a job."""
        with self._lock:
            return self._workloads.get(job_uid)

    def _wake_of(self, found: Object, after: float) -> None:
        meta = found["metadata"]
        name = meta.get("labels", {}).get(PIPELINE)
        if name:
            self._wake((meta["namespace"], name), after)


def _asked(found: Object | None) -> tuple[Any, ...]:
    """What people ask of a pipeline; the rest of it is the controller's own status."""
    meta: Object = {} if found is None else found["metadata"]
    return meta.get("uid"), meta.get("generation"), meta.get("annotations"), meta.get("deletionTimestamp")


def key_of(found: Object) -> Key:
    """Where an object is."""
    return found["metadata"]["namespace"], found["metadata"]["name"]
