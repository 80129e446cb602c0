# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Stages that `torchx run -s jobset` put on the cluster, and what their pods say as they go."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from urllib3.exceptions import HTTPError

from tests.cluster.api import Object, Refused, path_of
from tests.cluster.cluster import Cluster
from tests.cluster.conditions import holds
from tests.cluster.failures import ClusterFailed
from tests.cluster.storage import NAME, Storage

BUCKET = "stages"
IMAGE = "fastgen-k8s/trainer:test"
_A_WATCH = 2.0  # seconds
_JOBSETS = "jobsets.v1alpha2.jobset.x-k8s.io"
_STEP = re.compile(r"\bstep=(\d+)\s+total=")
_GROUP = re.compile(r"\btraining\s.*\bprocesses=(\d+)")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Place:
    """A namespace of the cluster and a bucket, in which stages run."""

    cluster: Cluster
    namespace: str
    storage: Storage

    @property
    def root(self) -> str:
        """Where their artifacts go: a prefix of this namespace's own."""
        return f"s3://{BUCKET}/{self.namespace}"

    def make_bucket(self) -> None:
        """The bucket, as whoever runs the store would make it."""
        client: Any = boto3.client("s3")  # finds store and credentials in the environment, as everything here does
        with suppress(client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket=BUCKET)

    def command(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A program of this environment, with the cluster and the store in its environment."""
        given = os.environ | self.storage.environment() | environment
        given |= {"KUBECONFIG": str(self.cluster.kubeconfig), "FASTGEN_ROOT": self.root, "FASTGEN_IMAGE": IMAGE}
        program = str(Path(sys.executable).parent / words[0])
        return subprocess.run([program, *words[1:]], env=given, capture_output=True, text=True, check=False)

    def run(
        self,
        component: str,
        *words: str,
        cfg: Mapping[str, str] | None = None,
        wait: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """`torchx run -s jobset components/X.py`; the name of the job."""
        settings = {"namespace": self.namespace, "secrets": NAME, "service_account": "default", **(cfg or {})}
        flat = ",".join(f"{name}={value}" for name, value in settings.items())
        waits = ["--wait"] if wait else []
        run = ("torchx", "run", "-s", "jobset", "-cfg", flat, *waits, f"components/{component}.py", *words)
        made = self.command(*run, **(environment or {}))
        if made.returncode:
            raise ClusterFailed(f"torchx run {component}: {made.returncode}\n{made.stdout}\n{made.stderr}")
        found = re.search(r"jobset://\S+:(\S+)", made.stdout)
        assert found is not None, made.stdout
        return found[1]

    def ended(self, job: str, timeout: float = 240) -> Object:
        """The JobSet when it has completed or failed."""
        return self.cluster.wait_for(
            _JOBSETS, job, lambda one: holds(one, "Completed") or holds(one, "Failed"), self.namespace, timeout
        )

    def pods(self, job: str, component: str = "trainer") -> list[str]:
        """The names of a job's pods that have not ended, by index."""
        chosen = f"fastgen-k8s.github.io/job={job},app.kubernetes.io/component={component}"
        found = self.cluster.api.list("pods", self.namespace, chosen)
        return sorted(name for name, one in found.items() if "deletionTimestamp" not in one["metadata"])


@dataclass
class Line:
    """A line that a pod wrote, and when it came here."""

    pod: str
    text: str
    at: float = field(default_factory=time.monotonic)


class Listener:
    """Follows the logs of all pods that a job has and will have."""

    def __init__(self, place: Place, job: str) -> None:
        self.place, self.job = place, job
        self.lines: list[Line] = []
        self._came = threading.Condition()
        self._known: set[str] = set()
        self._stop = threading.Event()
        self._looks = threading.Thread(target=self._look, daemon=True)
        self._looks.start()

    def stop(self) -> None:
        """No new pods are followed any more; on return nobody watches the cluster, which may go."""
        self._stop.set()
        self._looks.join()

    def wait(self, wanted: Callable[[Line], bool], after: float = 0.0, timeout: float = 120) -> Line:
        """The first line that came after a moment and is wanted."""
        end, seen = time.monotonic() + timeout, 0
        with self._came:
            while True:
                for line in self.lines[seen:]:
                    if line.at > after and wanted(line):
                        return line
                seen = len(self.lines)
                if not self._came.wait(end - time.monotonic()):
                    last = "\n".join(f"{line.at - after:7.1f} {line.pod} {line.text}" for line in self.lines[-40:])
                    raise ClusterFailed(f"{self.job}: wanted a line within {timeout:g} s, found at last\n{last}")

    def step(self, after: float = 0.0, beyond: int = 0, timeout: float = 120) -> Line:
        """The first step above a number that came after a moment."""
        return self.wait(lambda line: (step_of(line) or 0) > beyond, after, timeout)

    def group(self, processes: int, after: float = 0.0, timeout: float = 120) -> Line:
        """The first group of so many processes that began to train after a moment."""
        return self.wait(lambda line: group_of(line) == processes, after, timeout)

    def _look(self) -> None:
        """New pods are found by a watch; each is followed by a thread of its own."""
        chosen = f"fastgen-k8s.github.io/job={self.job}"
        while not self._stop.is_set():
            with suppress(ClusterFailed):  # nothing ended the watch in its time: look again
                self.place.cluster.watch_until(
                    "pods", self._starts, self.place.namespace, selector=chosen, timeout=_A_WATCH
                )

    def _starts(self, found: Mapping[str, Object]) -> bool:
        for name, one in found.items():
            if name not in self._known and one.get("status", {}).get("phase") not in (None, "Pending"):
                self._known.add(name)
                threading.Thread(target=self._follow, args=(name,), daemon=True).start()
        return self._stop.is_set()

    def _follow(self, pod: str) -> None:
        path = path_of("pods", self.place.namespace, pod) + "/log"
        try:
            for raw in self.place.cluster.api.lines(path, 3600, follow="true"):
                line = Line(pod, _COLOURS.sub("", raw.decode(errors="replace")).rstrip())
                with self._came:
                    self.lines.append(line)
                    self._came.notify_all()
        except (Refused, HTTPError):
            return  # the pod went before its log could be read, or its node while it was


def step_of(line: Line) -> int | None:
    """The step that a line tells of."""
    found = _STEP.search(line.text)
    return int(found[1]) if found else None


def group_of(line: Line) -> int | None:
    """The number of processes of the group that a line says begins to train."""
    found = _GROUP.search(line.text)
    return int(found[1]) if found else None
