"""The cluster as the reflectors know it, with the indices that one look at a pipeline needs."""

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from fastgen_k8s.controller.children import JOB, PIPELINE, Child, child, owner
from fastgen_k8s.launch.jobs import Backend
from fastgen_k8s.launch.owned import owns

Found = dict[str, Any]
Key = tuple[str, str]  # namespace and name of a pipeline
Wake = Callable[[Key, float], None]

KUEUE_JOB = "kueue.x-k8s.io/job-uid"
_GATHER = 0.1  # seconds in which changes that hurry nobody become one look: of pods, and what we wrote ourselves


class View:
    """What was last heard of pipelines, their jobs and pods; changes wake the pipeline that they belong to."""

    def __init__(self, wake: Wake) -> None:
        self._wake, self._lock = wake, threading.Lock()
        self._pipelines: dict[Key, Found] = {}
        self._jobs: dict[str, dict[str, tuple[Found, Backend]]] = defaultdict(dict)  # pipeline's uid -> job's uid
        self._pods: dict[Key, dict[str, Found]] = defaultdict(dict)  # namespace and name of a job -> pod's uid
        self._workloads: dict[str, Found] = {}  # job's uid
        self._by_uid: dict[str, Found] = {}  # jobs

    # --- what reflectors tell ---

    def pipeline(self, old: Found | None, new: Found | None) -> None:
        """A pipeline was made, changed or removed."""
        meta = (new or old or {})["metadata"]
        key = meta["namespace"], meta["name"]
        with self._lock:
            if new is None:
                self._pipelines.pop(key, None)
            else:
                self._pipelines[key] = new
        self._wake(key, 0.0 if _asked(old) != _asked(new) else _GATHER)

    def job(self, backend: Backend) -> Callable[[Found | None, Found | None], None]:
        """What to call when a job of a backend was made, changed or removed."""

        def changed(old: Found | None, new: Found | None) -> None:
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

    def pod(self, old: Found | None, new: Found | None) -> None:
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

    def workload(self, old: Found | None, new: Found | None) -> None:
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

    def find(self, key: Key) -> Found | None:
        """A pipeline."""
        with self._lock:
            return self._pipelines.get(key)

    def all(self) -> list[Found]:
        """Every pipeline."""
        with self._lock:
            return list(self._pipelines.values())

    def children(self, uid: str) -> list[Child]:
        """The jobs of a pipeline with their pods."""
        with self._lock:
            jobs = list(self._jobs.get(uid, {}).values())
            found = [child(job, self._pods.get(_key(job), {}).values(), backend) for job, backend in jobs]
            return [one for one in found if one is not None]

    def pods(self, namespace: str, job: str) -> list[Found]:
        """The pods of a job, which may itself be gone."""
        with self._lock:
            return [pod for pod in self._pods.get((namespace, job), {}).values() if owns(job, pod)]

    def waits(self, job_uid: str) -> Mapping[str, Any] | None:
        """Kueue's view of a job."""
        with self._lock:
            return self._workloads.get(job_uid)

    def _wake_of(self, found: Found, after: float) -> None:
        meta = found["metadata"]
        name = meta.get("labels", {}).get(PIPELINE)
        if name:
            self._wake((meta["namespace"], name), after)


def _asked(found: Found | None) -> tuple[Any, ...]:
    """What people ask of a pipeline; the rest of it is the controller's own status."""
    meta: Found = {} if found is None else found["metadata"]
    return meta.get("uid"), meta.get("generation"), meta.get("annotations"), meta.get("deletionTimestamp")


def _key(found: Found) -> Key:
    return found["metadata"]["namespace"], found["metadata"]["name"]
