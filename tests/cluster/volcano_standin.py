# pyright: basic
"""A stand-in for Volcano's job controller: it looks at the jobs of Volcano four times a second and acts.

Their pods it watches: how one ended that was deleted is to be seen for a moment only.

This is not Volcano, which could not be had here (see volcano_rules.py): a test that passes with it says that our jobs
mean what we think if Volcano does what we think.
"""

import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from tests.cluster.api import Api, Object, Refused, path_of
from tests.cluster.custom import establish
from tests.cluster.volcano_rules import (
    COMMANDS,
    ENDED,
    ENDS,
    JOBS,
    Event,
    Seen,
    action,
    after_sync,
    counters,
    events,
    network,
    phase,
    pods,
    seen,
    stays,
)

_LOOK_EVERY = 0.25  # seconds
_A_WATCH = 2  # seconds, and from there on in another one
_MINE = "volcano.sh/job-name"
_PASSING = frozenset({404, 409})  # somebody removed or changed it since we looked
_FORBIDDEN = 403


def install(api: Api) -> None:
    """The kinds, open to any field."""
    establish(
        api, [_definition("jobs", "Job", "batch.volcano.sh"), _definition("commands", "Command", "bus.volcano.sh")]
    )


@contextmanager
def running(api: Api) -> Generator[None]:
    """The stand-in at work; what it did not foresee ends its thread, which pytest takes for a failure."""
    standin = _Standin(api)
    threads = [threading.Thread(target=each, name="volcano-standin") for each in (standin.watch, standin.work)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        standin.stop.set()
        for thread in threads:
            thread.join()


class _Standin:
    def __init__(self, api: Api) -> None:
        self.api = Api.connect(api.kubeconfig)  # of its own: it runs in another thread
        self.before: dict[str, dict[str, Seen]] = {}  # by the jobs' uids
        self.over: dict[str, float] = {}  # since when, by the jobs' uids
        self.pods: dict[str, tuple[Object, bool]] = {}  # by their uids: as they were at last, and whether they are gone
        self.lock, self.stop = threading.Lock(), threading.Event()

    def watch(self) -> None:
        api, version = Api.connect(self.api.kubeconfig), ""
        try:
            while not self.stop.is_set():
                if not version:
                    listed = api.call("GET", path_of("pods"), labelSelector=_MINE)
                    version = listed["metadata"]["resourceVersion"]
                    for pod in listed["items"]:
                        self._note(pod, gone=False)
                query = {"watch": "true", "timeoutSeconds": _A_WATCH, "resourceVersion": version}
                for line in api.lines(path_of("pods"), _A_WATCH + 5, labelSelector=_MINE, **query):
                    event = json.loads(line)
                    if event["type"] == "ERROR":  # the version is too old
                        version = ""
                        break
                    version = event["object"]["metadata"]["resourceVersion"]
                    self._note(event["object"], gone=event["type"] == "DELETED")
        finally:
            api.client.close()

    def _note(self, pod: Object, *, gone: bool) -> None:
        with self.lock:
            self.pods[pod["metadata"]["uid"]] = pod, gone

    def _of(self, job: str) -> dict[str, Seen]:
        """A job's pods by their uids; those that are gone once."""
        with self.lock:
            known = {
                uid: seen(pod, gone=gone)
                for uid, (pod, gone) in self.pods.items()
                if pod["metadata"]["ownerReferences"][0]["uid"] == job
            }
            self.pods = {uid: one for uid, one in self.pods.items() if uid not in known or not known[uid].gone}
        return known

    def work(self) -> None:
        try:
            while not self.stop.wait(_LOOK_EVERY):
                self._commands()
                for job in self.api.call("GET", path_of(JOBS))["items"]:
                    self._look(job)
        finally:
            self.api.client.close()

    def _look(self, job: Object) -> None:
        try:
            self._step(job)
        except Refused as refused:
            if refused.status not in _PASSING:
                raise

    def _step(self, job: Object) -> None:
        meta = job["metadata"]
        if "deletionTimestamp" in meta:
            return
        if phase(job) is None:
            job["status"] = {"state": {"phase": "Pending"}, "version": 0, "retryCount": 0}
        known = self._of(meta["uid"])
        happened = events(job, self.before.get(meta["uid"], {}), known)
        self.before[meta["uid"]] = now = {uid: one for uid, one in known.items() if not one.gone}
        if phase(job) in ENDED:
            self._forget(job)
            return
        for event in happened:
            self._act(job, action(job, event), event, now)
        ending = next((over for going, over in ENDS.values() if going == phase(job)), None)
        if ending is None:
            self._sync(job, list(now.values()))
        elif all(stays(pod) for pod in now.values()):
            self._enter(job, ending)
        self._write(job, list(now.values()))

    def _act(self, job: Object, chosen: str, event: Event, now: dict[str, Seen]) -> None:
        if chosen in ENDS:
            self._end(job, chosen, now)
        elif chosen == "RestartPod" and phase(job) in {"Running", "Restarting"}:
            job["status"]["retryCount"] += phase(job) == "Running"
            self._remove_network(job)
            self._delete("pods", event.pod.name, job)
            self._enter(job, "Restarting")

    def _end(self, job: Object, chosen: str, now: dict[str, Seen]) -> None:
        going, _ = ENDS[chosen]
        self._enter(job, going)
        job["status"]["version"] += 1
        for pod in now.values():
            if not stays(pod) and not pod.deleted:
                self._delete("pods", pod.name, job)

    def _sync(self, job: Object, there: list[Seen]) -> None:
        self._enter(job, after_sync(job, there))
        if phase(job) in ENDED:
            for pod in there:
                if not stays(pod) and not pod.deleted:
                    self._delete("pods", pod.name, job)
            return
        if phase(job) == "Restarting":
            return
        for made in network(job):
            self._make(made)
        names = {pod.name for pod in there}
        for name, pod in pods(job).items():
            if name not in names:
                self._make(pod)

    def _write(self, job: Object, there: list[Seen]) -> None:
        """The counters go when the job is over."""
        status = job["status"]
        kept = {name: status[name] for name in ("state", "version", "retryCount")}
        written = kept | ({} if phase(job) in ENDED else counters(there))
        meta = job["metadata"]
        current = self.api.get(JOBS, meta["name"], meta["namespace"])
        if current["metadata"]["uid"] == meta["uid"] and current.get("status") != written:
            where = path_of(JOBS, meta["namespace"], meta["name"]) + "/status"
            self.api.call("PUT", where, current | {"status": written})

    def _forget(self, job: Object) -> None:
        """What is left to do for a job that is over."""
        self._remove_network(job)
        ttl = job["spec"].get("ttlSecondsAfterFinished")
        since = self.over.setdefault(job["metadata"]["uid"], time.monotonic())
        if ttl is not None and time.monotonic() - since > ttl:
            self._delete(JOBS, job["metadata"]["name"], job, propagationPolicy="Background")

    def _commands(self) -> None:
        for command in self.api.call("GET", path_of(COMMANDS))["items"]:
            namespace, target = command["metadata"]["namespace"], command["target"]["name"]
            self.api.delete(COMMANDS, command["metadata"]["name"], namespace)
            job = self.api.get(JOBS, target, namespace)
            if phase(job) not in ENDED:
                now = self.before.get(job["metadata"]["uid"], {})
                self._end(job, command["action"], now)
                self._write(job, list(now.values()))

    def _enter(self, job: Object, wanted: str) -> None:
        job["status"]["state"] = {"phase": wanted}

    def _remove_network(self, job: Object) -> None:
        for made in network(job):
            self._delete(f"{made['kind'].lower()}s", made["metadata"]["name"], job)

    def _make(self, made: Object) -> None:
        try:
            self.api.create(made)
        except Refused as refused:  # it is there, or one of its name, or the namespace, is still ending
            if refused.status not in _PASSING | {_FORBIDDEN}:
                raise

    def _delete(self, resource: str, name: str, job: Object, **query: str) -> None:
        try:
            self.api.delete(resource, name, job["metadata"]["namespace"], **query)
        except Refused as refused:
            if refused.status not in _PASSING:
                raise


def _definition(plural: str, kind: str, group: str) -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    if kind == "Job":
        version["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [version],
        },
    }
