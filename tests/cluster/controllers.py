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

from tests.cluster.failures import ClusterFailed

_PATIENCE = 30.0


class Controller:
    """One replica."""

    def __init__(self, kubeconfig: Path, environment: Mapping[str, str], *words: str, program: str = "") -> None:
        given = os.environ | environment | {"KUBECONFIG": str(kubeconfig), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, *(["-c", program] if program else ["-m", "fastgen_k8s.controller"])]
        self.process = subprocess.Popen(
            [*command, "--port", "0", *words], env=given, stderr=subprocess.PIPE, text=True, bufsize=1
        )
        self.said: list[dict[str, object] | str] = []
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
        if self.process.stderr is not None:
            self.process.stderr.close()

    def terminate(self) -> int:
        """SIGTERM, and its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_PATIENCE)

    def faults(self) -> list[dict[str, object] | str]:
        """What it said of itself that it should never say."""
        return [one for one in self.said if isinstance(one, str) or one.get("level") in ("error", "critical")]

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                said = json.loads(line)
            except ValueError:
                said = line.rstrip()
            self.said.append(said)
            if isinstance(said, dict) and said.get("event") == "serving":
                self._port = said["port"]
                self._serving.set()
        self._serving.set()


@contextmanager
def running(kubeconfig: Path, environment: Mapping[str, str], *words: str, program: str = "") -> Generator[Controller]:
    """A replica, killed at the end."""
    made = Controller(kubeconfig, environment, *words, program=program)
    try:
        yield made
    finally:
        made.kill()
