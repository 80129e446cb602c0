"""A Docker engine to build and run images with: the one that is reachable, else a private one for the time being."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, NamedTuple

from fastgen_k8s.errors import FastgenError

_START = 60.0  # seconds
_STOP = 30.0


class NoEngine(FastgenError):
    """There is no Docker engine, and none can be started."""

    code: ClassVar[int] = 74


class EngineFailed(FastgenError):
    """The engine did not do what it was told; it has said why itself."""


class Engine(NamedTuple):
    """A client program and the engine that it talks to."""

    client: str
    host: str | None  # None: the client's own default
    private: bool  # started by us: it has no network, so neither a registry nor an index

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


@contextmanager
def engine(state: Path) -> Generator[Engine]:
    """The engine that the client reaches, else a private one whose images stay in `state`; NoEngine says why not."""
    client = shutil.which("docker")
    reached = Engine(client, None, private=False) if client else None
    if reached and reached.run(["version", "--format", "{{.Server.Version}}"]).returncode == 0:
        yield reached
        return
    daemon = shutil.which("dockerd")
    # The client of the daemon's own package: another one may want a build plug-in that is not there.
    client = shutil.which("docker", path=os.defpath)
    if daemon is None or client is None or os.geteuid() != 0:
        found = (
            "no engine that answers" + ("" if daemon else ", no dockerd") + ("" if os.geteuid() == 0 else ", not root")
        )
        raise NoEngine(f"wanted a Docker engine, or root and Debian's docker.io to start one, found {found}")
    with _private(client, daemon, state) as private:
        yield private


@contextmanager
def _private(client: str, daemon: str, state: Path) -> Generator[Engine]:
    """An engine without bridge, firewall rules or forwarding: it changes nothing of the machine's network."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("w") as lock, tempfile.TemporaryDirectory(prefix="fastgen-engine-") as place:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one engine at a time owns the images
        here = Path(place)
        host, log = f"unix://{here / 'docker.sock'}", state / "dockerd.log"
        options = [
            *("--data-root", str(state / "data"), "--exec-root", str(here / "exec")),
            *("--pidfile", str(here / "pid"), "--host", host),
            *("--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"),
        ]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, log.open("w") as words:
            ready.bind(str(here / "ready"))
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", daemon, *options],  # no engine outlives us, however we end
                env={**os.environ, "NOTIFY_SOCKET": str(here / "ready")},
                stdout=words,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # an interrupt from the terminal is ours to handle
            )
            try:
                _await(ready, process, log)
                yield Engine(client, host, private=True)
            finally:
                _stop(process)


def _await(ready: socket.socket, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the daemon has said that it is ready (systemd's protocol), NoEngine when it ends or says nothing."""
    ready.settimeout(0.5)
    for _ in range(int(_START / 0.5)):
        try:
            if b"READY=1" in ready.recv(4096):
                return
        except TimeoutError:
            if process.poll() is not None:
                break
    last = (log.read_text().splitlines() or ["nothing"])[-1]
    raise NoEngine(f"wanted a private Docker engine within {_START:.0f} s, found in {log}: {last}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
