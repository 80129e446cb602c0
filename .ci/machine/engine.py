"""A private Docker engine for a machine without one: it changes nothing of the machine's network."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from images.engine import Engine, NoEngine

_START = 60.0  # seconds
_STOP = 30.0


@contextmanager
def private_engine(state: Path) -> Generator[Engine]:
    """An engine without network, whose images stay in `state`; NoEngine says what this machine lacks for one."""
    daemon = shutil.which("dockerd")
    # The client of the daemon's own package: another one may want a build plug-in that is not there.
    client = shutil.which("docker", path=os.defpath)
    if daemon is None or client is None or os.geteuid() != 0:
        found = (
            "no engine that answers" + ("" if daemon else ", no dockerd") + ("" if os.geteuid() == 0 else ", not root")
        )
        raise NoEngine(f"wanted a Docker engine, or root and Debian's docker.io to start one, found {found}")
    with _started(client, daemon, state) as started:
        yield started


@contextmanager
def _started(client: str, daemon: str, state: Path) -> Generator[Engine]:
    """An engine without bridge, firewall rules or forwarding."""
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
                yield Engine(client, host)
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
