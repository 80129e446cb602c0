"""The Docker engine that the client reaches, as commands."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from fastgen_k8s.errors import FastgenError


class NoEngine(FastgenError):
    """No Docker engine answers, and none can be started."""

    code: ClassVar[int] = 74


class EngineFailed(FastgenError):
    """The engine did not do what it was told; it has said why itself."""


class Engine(NamedTuple):
    """A client program and the engine that it talks to."""

    client: str
    host: str | None  # None: the client's own default

    @property
    def environment(self) -> dict[str, str]:
        """What docker's client and docker's Python package need to find the engine."""
        host = {} if self.host is None else {"DOCKER_HOST": self.host}
        return {**os.environ, **host, "DOCKER_BUILDKIT": "1"}

    def do(self, *words: str) -> None:
        """Run a client command; its output is the terminal's."""
        code = subprocess.run([self.client, *words], env=self.environment, check=False).returncode
        if code:
            raise EngineFailed(f"wanted `docker {' '.join(words[:2])}` to work, found exit code {code}")

    def ask(self, *words: str) -> str:
        """What a client command says."""
        done = self.run(words)
        if done.returncode:
            raise EngineFailed(f"`docker {' '.join(words)}` failed: {done.stderr.strip()}")
        return done.stdout.strip()

    def run(self, words: Sequence[str], timeout: float | None = None) -> subprocess.CompletedProcess[str]:
        """Run a client command to its end."""
        command = [self.client, *words]
        return subprocess.run(
            command, env=self.environment, timeout=timeout, check=False, capture_output=True, text=True
        )


def reached() -> Engine:
    """The engine of the client on PATH; NoEngine where none answers."""
    client = shutil.which("docker")
    found = Engine(client, None) if client else None
    if found is None or found.run(["version", "--format", "{{.Server.Version}}"]).returncode:
        raise NoEngine("wanted a Docker engine, found none that answers")
    return found
