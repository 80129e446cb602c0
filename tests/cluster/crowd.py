# pyright: basic
"""Who runs the jobs of a crowd of pipelines, from a process of its own: one object and one patch for each job.

`simulated.py` plays a job as it goes on real kubelets. Here only what a stage's end takes is played, since players and
played share two cores; what is noted of a job is when each of its changes was seen in one watch of them all.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.artifacts.manifest import MANIFEST, Manifest
from fastgen_k8s.controller.children import PIPELINE, STAGE
from fastgen_k8s.pipeline.kinds import KINDS
from tests.cluster.api import Api, Object, Refused, path_of
from tests.cluster.failures import ClusterFailed
from tests.cluster.pipelines import Place
from tests.cluster.simulated import JOBSETS, work_of

_ROOT = Path(__file__).parents[2]
_PLAYERS = 4
_LONG = 3600  # seconds that it may take


@dataclass
class Job:
    """A JobSet, and when what happened to it was seen (monotonic seconds, the same for all processes)."""

    pipeline: str
    stage: str
    made: float
    ended: float = 0.0
    gone: float = 0.0


@dataclass
class Played:
    """All jobs that there were, in the order in which they were made."""

    jobs: list[Job] = field(default_factory=list)
    seconds: float = 0.0  # of the processor

    @property
    def twice(self) -> list[tuple[str, str]]:
        """Stages that had more than one job."""
        return [of for of, number in Counter((job.pipeline, job.stage) for job in self.jobs).items() if number > 1]

    def of(self, stage: str) -> dict[str, Job]:
        """The jobs of a stage by pipeline."""
        return {job.pipeline: job for job in self.jobs if job.stage == stage}


class Crowd:
    """The process, which ends when that many jobs have been made, have ended, and are gone."""

    def __init__(self, place: Place, jobs: int, takes: float) -> None:
        words = str(place.cluster.kubeconfig), place.namespace, str(jobs), str(takes)
        command = [sys.executable, "-m", __name__, *words]
        environment = os.environ | place.environment | {"OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, env=environment, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "watching\n":
            raise ClusterFailed(f"crowd: wanted it to watch, found {self.process.communicate()[1]}")

    def played(self, timeout: float) -> Played:
        """What was played, waited for."""
        said, problem = self.process.communicate(timeout=timeout)
        if self.process.returncode:
            raise ClusterFailed(f"crowd: wanted exit 0, found {self.process.returncode} ({problem})")
        found = json.loads(said)
        return Played([Job(**job) for job in found["jobs"]], found["seconds"])


@contextmanager
def crowd(place: Place, jobs: int, takes: float = 0.0) -> Generator[Crowd]:
    """The players of a place's jobs, each of which takes so many seconds; they watch already."""
    made = Crowd(place, jobs, takes)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.communicate()


class Players:
    """In the process: a watch, and some threads that end jobs in the order in which they were made."""

    def __init__(self, api: Api, namespace: str, takes: float) -> None:
        self.api, self.path, self.takes = api, path_of(JOBSETS, namespace), takes
        self.played = Played()
        self._there: dict[str, Job] = {}  # by name
        self._todo: queue.SimpleQueue[tuple[float, Object]] = queue.SimpleQueue()  # when each ends

    def play(self, jobs: int) -> Played:
        """Until so many jobs are gone."""
        for _ in range(_PLAYERS):
            threading.Thread(target=self._end_jobs, daemon=True).start()
        version = self.api.call("GET", self.path)["metadata"]["resourceVersion"]
        lines = self.api.lines(
            self.path, _LONG, watch="true", timeoutSeconds=_LONG, resourceVersion=version, labelSelector=PIPELINE
        )
        print("watching", flush=True)
        for line in lines:
            jobs -= self._is_gone(json.loads(line), time.monotonic())
            if not jobs:
                break
        self.played.seconds = time.process_time()
        return self.played

    def _is_gone(self, event: Object, now: float) -> bool:
        """Note an event; whether it is a job's last."""
        item = event["object"]
        name, labels = item["metadata"]["name"], item["metadata"]["labels"]
        match event["type"]:
            case "ADDED":
                self._there[name] = Job(labels[PIPELINE], labels[STAGE], made=now)
                self.played.jobs.append(self._there[name])
                self._todo.put((now + self.takes, item))
            case "MODIFIED" if item.get("status", {}).get("conditions") and not self._there[name].ended:
                self._there[name].ended = now
            case "DELETED":
                self._there.pop(name).gone = now
                return True
        return False

    def _end_jobs(self) -> None:
        while True:
            when, item = self._todo.get()
            time.sleep(max(0.0, when - time.monotonic()))
            try:
                self._end(item)
            except Refused as refusal:
                if refusal.status != 404:  # not one that was removed meanwhile
                    traceback.print_exc()
                    os._exit(1)
            except Exception:  # noqa: BLE001  # of any kind: who waits for the end of all is told of it
                traceback.print_exc()
                os._exit(1)

    def _end(self, item: Object) -> None:
        work = work_of(item)
        assert work.expect_digest is not None
        whole = Manifest(kind=KINDS[work.kind].makes, digest=work.expect_digest, inputs={}, facts={}, files={})
        store_at(work.output).put(MANIFEST, whole.to_json())
        condition = {"type": "Completed", "status": "True", "reason": "AllJobsCompleted", "message": ""}
        condition["lastTransitionTime"] = item["metadata"]["creationTimestamp"]
        path = f"{self.path}/{item['metadata']['name']}/status"
        self.api.call("PATCH", path, {"status": {"conditions": [condition]}}, kind="application/merge-patch+json")


def main(kubeconfig: str, namespace: str, jobs: str, takes: str) -> None:
    """Play, and print what was played."""
    played = Players(Api.connect(Path(kubeconfig)), namespace, float(takes)).play(int(jobs))
    print(json.dumps(asdict(played)))


if __name__ == "__main__":
    main(*sys.argv[1:])
