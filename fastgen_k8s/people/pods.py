"""What the trainers of a job say, all of them at once, each line behind the name of its replica."""

import threading
import time
from collections.abc import Iterable, Iterator
from queue import Empty, SimpleQueue

from fastgen_k8s.errors import FastgenError, refuse
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.jobs import ClusterJobs
from fastgen_k8s.launch.outcome import COMPONENT, ENDED, number
from fastgen_k8s.launch.pod import TRAINER
from fastgen_k8s.people.source import Said

_LOOK_EVERY = 1.0  # seconds


def read(jobs: ClusterJobs, namespace: str, job: str) -> Iterator[Said]:
    """What the trainers that the cluster still has have said so far, one after the other."""
    for pod in working(jobs.pods(namespace, job)):
        yield from _lines(jobs, pod, follow=False)


def follow(jobs: ClusterJobs, namespace: str, job: str) -> Iterator[Said]:
    """What all trainers say, also those that come later, to the end of the job."""
    said: SimpleQueue[Said] = SimpleQueue()
    readers: dict[str, threading.Thread] = {}
    while True:
        found = jobs.find(namespace, job)
        for pod in working(jobs.pods(namespace, job)):
            uid = pod["metadata"]["uid"]
            if uid not in readers:
                readers[uid] = threading.Thread(target=_into, args=(said, jobs, pod), daemon=True)
                readers[uid].start()
        over = found is None or jobs.backend.state(found) in ENDED
        yield from _until(said, time.monotonic() + _LOOK_EVERY)
        if over and not any(reader.is_alive() for reader in readers.values()):
            while not said.empty():
                yield said.get()
            return


def working(pods: Iterable[Object]) -> list[Object]:
    """The trainers that have begun to work, or have ended, by number."""
    begun = [pod for pod in pods if pod["metadata"]["labels"].get(COMPONENT) == TRAINER and _has_begun(pod)]
    return sorted(begun, key=number)


def _has_begun(pod: Object) -> bool:
    return pod.get("status", {}).get("phase", "Pending") != "Pending"


def _lines(jobs: ClusterJobs, pod: Object, follow: bool) -> Iterator[Said]:
    meta, name = pod["metadata"], f"{TRAINER}/{number(pod)}"
    where = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/log"
    try:
        for line in jobs.api.lines(where, follow=str(follow).lower(), container=TRAINER):
            yield Said(name, line)
    except FastgenError as error:  # of one pod, whose node may be gone; the others have more to say
        refuse(error)


def _into(said: SimpleQueue[Said], jobs: ClusterJobs, pod: Object) -> None:
    for line in _lines(jobs, pod, follow=True):
        said.put(line)


def _until(said: SimpleQueue[Said], end: float) -> Iterator[Said]:
    """What comes until a moment."""
    while (left := end - time.monotonic()) > 0:
        try:
            yield said.get(timeout=left)
        except Empty:
            return
