# pyright: basic
"""The controller as a process of this machine, as a test starts, kills and asks it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from tests.cluster.failures import ClusterFailed
from tests.cluster.forks import Fork

_PATIENCE = 30.0


class Process(Protocol):
    """A process that this one started."""

    @property
    def pid(self) -> int | None: ...

    def kill(self) -> None: ...

    def wait(self, timeout: float | None = None) -> int: ...


class Controller:
    """One replica, and what it says on stderr."""

    def __init__(self, process: Process, stderr: IO[str]) -> None:
        self.process = process
        self.said: list[dict[str, Any] | str] = []
        self._stderr = stderr
        self._port: int | None = None
        self._serving = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def port(self) -> int:
        """Where it answers."""
        if not self._serving.wait(_PATIENCE) or self._port is None:
            raise ClusterFailed(f"controller: wanted it to serve, found {self.said[-5:]}")
        return self._port

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of an endpoint."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def ready(self) -> "Controller":
        """Wait until its caches are complete."""
        until = time.monotonic() + _PATIENCE
        while self.get("/readyz")[0] != 200:
            if time.monotonic() > until:
                raise ClusterFailed(f"controller: wanted it ready, found {self.get('/readyz')}")
            time.sleep(0.05)
        return self

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self._stderr.close()

    def terminate(self) -> int:
        """SIGTERM, and its exit code."""
        self.signal(signal.SIGTERM)
        return self.process.wait(_PATIENCE)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def faults(self) -> list[dict[str, Any] | str]:
        """What it said of itself that it should never say."""
        return [one for one in self.said if isinstance(one, str) or one.get("level") in ("error", "critical")]

    @property
    def events(self) -> list[str]:
        """What it said that happened."""
        return [one["event"] for one in self.said if isinstance(one, dict)]

    def _read(self) -> None:
        for line in self._stderr:
            said = _parsed(line)
            self.said.append(said)
            if isinstance(said, dict) and said.get("event") == "serving":
                self._port = int(said["port"])
                self._serving.set()
        self._serving.set()


def _parsed(line: str) -> dict[str, Any] | str:
    """What the controller says is JSON; what Python says of it is not."""
    try:
        return json.loads(line)
    except ValueError:
        return line.rstrip()


@contextmanager
def running(kubeconfig: Path, environment: Mapping[str, str], *words: str, program: str = "") -> Generator[Controller]:
    """A replica, killed at the end."""
    command = [sys.executable, *(["-c", program] if program else ["-m", "fastgen_k8s.controller"])]
    given = os.environ | environment | {"KUBECONFIG": str(kubeconfig), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, "--port", "0", *words], env=given, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stderr is not None
    with _until_killed(Controller(process, process.stderr)) as made:
        yield made


@contextmanager
def forked(kubeconfig: Path, environment: Mapping[str, str], *words: str) -> Generator[Controller]:
    """The same as a fork of a process that has imported it: for tests that start it a hundred times."""
    fork = Fork({**environment, "KUBECONFIG": str(kubeconfig)}, "--port", "0", *words)
    with _until_killed(Controller(fork, fork.stderr)) as made:
        yield made


@contextmanager
def _until_killed(controller: Controller) -> Generator[Controller]:
    try:
        yield controller
    finally:
        controller.kill()
