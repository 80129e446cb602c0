# pyright: basic
"""Stages without kubelets: whoever runs JobSets is played here, at the API and at the store, as a test says.

What it plays was seen on real kubelets: a job's pods get ready, end with an exit code, and the JobSet gets its
condition; an artifact is committed before its pods exit 0; a JobSet that is deleted takes its pods with it.
"""

import heapq
import json
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import urllib3

from fastgen_k8s.artifacts import begin
from fastgen_k8s.controller.children import ATTEMPT, JOB, PIPELINE, STAGE
from fastgen_k8s.errors import FastgenError
from fastgen_k8s.lifecycle.status import rfc3339
from fastgen_k8s.pipeline.argv import parse
from fastgen_k8s.pipeline.kinds import KINDS
from fastgen_k8s.pipeline.work import Work
from tests.cluster.api import Api, Object, Refused, path_of

JOBSETS = "jobsets.v1alpha2.jobset.x-k8s.io"

_ABSENT, _MADE = 404, 409
_PASSING = {409, 429, 500, 502, 503, 504}  # asked again: a conflict, a server that starts or has lost its store
_UNREADY = "not yet ready to handle request"  # the same from its admission, as a refusal


@dataclass(frozen=True)
class Act:
    """How an attempt goes."""

    code: int = 0  # its pods' exit code; 0: the artifact is committed
    after: float = 0.0  # seconds from its creation to its end
    forever: bool = False  # it works and never ends by itself
    pods: bool = True  # are made, and get ready
    facts: dict[str, float] = field(default_factory=dict)


def at_once(stage: str, attempt: int) -> Act:
    """Every attempt succeeds."""
    return Act()


class Simulated:
    """Watches the JobSets of some namespaces (None: all) and plays what happens to them."""

    def __init__(self, api: Api, play: Callable[[str, int], Act] = at_once, namespace: str | None = None) -> None:
        self.api, self.play, self.namespace = api, play, namespace
        self.made: dict[str, list[tuple[str, int]]] = {}  # pipeline -> stage and attempt of each JobSet ever made
        self.twice: list[str] = []  # names of JobSets that were made again
        self.failures: list[str] = []
        self._names: set[str] = set()
        self._uids: set[str] = set()
        self._there: dict[str, Object] = {}  # uid -> JobSet, as far as it is known to be there
        self._todo: list[tuple[float, int, Callable[[], None]]] = []
        self._changed, self._over = threading.Condition(), False
        self._threads = [threading.Thread(target=self._watch, daemon=True)]
        self._threads += [threading.Thread(target=self._act, daemon=True) for _ in range(4)]

    def __enter__(self) -> "Simulated":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(10)
        assert self.failures == [], self.failures

    def end(self, job: str, act: Act | None = None) -> None:
        """Let a job that works for ever end now."""
        item = next(one for one in self._there.values() if one["metadata"]["name"] == job)
        self._later(0, lambda: self._end(item, act or Act()))

    # --- the watch ---

    def _watch(self) -> None:
        while not self._over:
            with suppress(Refused, urllib3.exceptions.HTTPError, OSError, ValueError):  # ValueError: a part of an event
                self._follow()
            time.sleep(0.05)

    def _follow(self) -> None:
        path = path_of(JOBSETS, self.namespace)
        listed = self.api.call("GET", path, labelSelector=PIPELINE)
        for item in listed["items"]:
            self._see(item)
        for uid in self._there.keys() - {item["metadata"]["uid"] for item in listed["items"]}:
            self._vanished(self._there[uid])  # between two watches
        query = {"watch": "true", "timeoutSeconds": 2, "labelSelector": PIPELINE}
        for line in self.api.lines(path, 4, resourceVersion=listed["metadata"]["resourceVersion"], **query):
            event = json.loads(line)
            if event["type"] == "ERROR":
                return
            if event["type"] == "DELETED":
                self._vanished(event["object"])
            else:
                self._see(event["object"])

    def _see(self, item: Object) -> None:
        meta = item["metadata"]
        if meta["uid"] in self._uids:
            return
        self._uids.add(meta["uid"])
        self._there[meta["uid"]] = item
        if f"{meta['namespace']}/{meta['name']}" in self._names:
            self.twice.append(meta["name"])
        self._names.add(f"{meta['namespace']}/{meta['name']}")
        labels = meta["labels"]
        stage, attempt = labels[STAGE], int(labels[ATTEMPT])
        self.made.setdefault(f"{meta['namespace']}/{labels[PIPELINE]}", []).append((stage, attempt))
        act, seen = self.play(stage, attempt), time.monotonic()
        self._later(0, lambda: self._start(item, act, seen + act.after))

    def _vanished(self, item: Object) -> None:
        self._there.pop(item["metadata"]["uid"], None)
        self._later(0, lambda: self._remove_pods(item))

    # --- what happens ---

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        with self._changed:
            heapq.heappush(self._todo, (time.monotonic() + seconds, id(what), what))
            self._changed.notify()

    def _act(self) -> None:
        while True:
            with self._changed:
                while not self._over and not (self._todo and self._todo[0][0] <= time.monotonic()):
                    self._changed.wait(self._todo[0][0] - time.monotonic() if self._todo else None)
                if self._over:
                    return
                _, _, what = heapq.heappop(self._todo)
            try:
                what()
            except (urllib3.exceptions.HTTPError, OSError):  # the API server is away
                self._later(0.5, what)
            except Refused as refusal:
                if refusal.status in _PASSING or _UNREADY in str(refusal):
                    self._later(0.5, what)
                elif refusal.status != _ABSENT:  # deleted meanwhile
                    self.failures.append(str(refusal))
            except FastgenError as error:
                self.failures.append(str(error))

    def _start(self, item: Object, act: Act, until: float) -> None:
        """Its pods get ready, and only then it can end; begun again after an answer that was lost."""
        if act.pods:
            self._make_pod(self._pod(item))
            if item["metadata"]["uid"] not in self._there:  # it went while its pod was made
                self._remove_pods(item)
        if not act.forever:
            self._later(until - time.monotonic(), lambda: self._end(item, act))

    def _make_pod(self, pod: Object) -> None:
        with _unless(_MADE):
            self.api.create(pod)
        self._pod_status(pod, {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})

    def _end(self, item: Object, act: Act) -> None:
        meta = item["metadata"]
        there = self.api.get(JOBSETS, meta["name"], meta["namespace"])
        if there["metadata"]["uid"] != meta["uid"]:
            return
        if act.code == 0:
            commit(work_of(item), act.facts)
        if act.pods:
            ended = {"terminated": {"exitCode": act.code, "reason": "Error" if act.code else "Completed"}}
            status = {"name": "trainer", "ready": False, "restartCount": 0, "image": "", "imageID": "", "state": ended}
            phase = {"phase": "Failed" if act.code else "Succeeded", "containerStatuses": [status]}
            with _unless(_ABSENT):
                self._pod_status(self._pod(item), phase | {"conditions": [{"type": "Ready", "status": "False"}]})
        kind, reason = ("Completed", "AllJobsCompleted") if act.code == 0 else ("Failed", "FailedJobs")
        condition = {"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": _now()}
        self._status(JOBSETS, meta, {"conditions": [condition]})

    def _remove_pods(self, item: Object) -> None:
        meta = item["metadata"]
        found = self.api.list("pods", meta["namespace"], selector=f"{JOB}={meta['name']}")
        for name in found:
            self.api.delete("pods", name, meta["namespace"], gracePeriodSeconds=0)

    def _pod(self, item: Object) -> Object:
        meta = item["metadata"]
        template = _trainer(item)["template"]
        mine = {"jobset.sigs.k8s.io/job-index": "0", "jobset.sigs.k8s.io/jobset-uid": meta["uid"]}
        labels = template["metadata"]["labels"] | mine
        job = {"apiVersion": "batch/v1", "kind": "Job", "name": f"{meta['name']}-trainer-0", "controller": True}
        owners = [job | {"uid": meta["uid"]}]  # nobody has made that Job
        place = {"name": f"{meta['name']}-trainer-0-0", "namespace": meta["namespace"], "labels": labels}
        place |= {"ownerReferences": owners}
        spec = {name: value for name, value in template["spec"].items() if name != "priorityClassName"}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": place, "spec": spec | {"serviceAccountName": "default"}}

    def _pod_status(self, pod: Object, status: Object) -> None:
        self._status("pods", pod["metadata"], status)

    def _status(self, resource: str, meta: Object, status: Object) -> None:
        path = path_of(resource, meta["namespace"], meta["name"]) + "/status"
        self.api.call("PATCH", path, {"status": status}, kind="application/merge-patch+json")


@contextmanager
def _unless(status: int) -> Generator[None]:
    """What may be refused in this way, because it is so already."""
    try:
        yield
    except Refused as refusal:
        if refusal.status != status:
            raise


def commit(work: Work, facts: dict[str, float]) -> None:
    """The artifact of a work, empty but whole."""
    assert work.expect_digest is not None
    begin(work.output, KINDS[work.kind].makes, work.expect_digest, {}).commit(facts)


def work_of(item: Object) -> Work:
    return parse(_trainer(item)["template"]["spec"]["containers"][0]["command"][3:])[0]


def _trainer(item: Object) -> Object:
    jobs = item["spec"]["replicatedJobs"]
    return next(job["template"]["spec"] for job in jobs if job["name"] == "trainer")


def _now() -> str:
    return rfc3339(time.time())
