"""Programs that run beside the tests: started, waited for until they answer, and gone when the tests are."""

import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.failures import ClusterFailed

_LAST = 400  # characters of a log that a failure quotes


@dataclass(frozen=True)
class Daemon:
    """A running program and its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def wait(self, ready: Callable[[], bool], timeout: float = 60) -> None:
        """Until it answers, or end it; a first answer can only be asked for, so this asks 20 times a second."""
        end = time.monotonic() + timeout
        while not ready():
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                found = f"exit {self.process.returncode}" if self.process.returncode != -9 else "no answer"
                raise ClusterFailed(
                    f"{self.name}: wanted it ready in {timeout:.0f} s, found {found} ({self.log}: {self.said()})"
                )
            time.sleep(0.05)

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-_LAST:].strip()

    def stop(self) -> None:
        """Kill it: the state goes with the cluster, so nothing has to be flushed."""
        self.process.kill()
        self.process.wait()


def start(
    name: str,
    command: Sequence[str | Path],
    logs: Path,
    *,
    namespace: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Daemon:
    """Start a program in a network namespace. It dies with the thread that called this, so call it from the main one.

    Only the network is entered: `ip netns exec` would also mount a new /sys, without the control groups.
    """
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{name}.log"
    entered = ["nsenter", f"--net=/run/netns/{namespace}"] if namespace else []
    return _started(name, ["setpriv", "--pdeathsig", "KILL", *entered, *command], log, environment)


def again(daemon: Daemon) -> Daemon:
    """Start a program that was stopped once more, in this process's environment."""
    return _started(daemon.name, daemon.process.args, daemon.log, None)


def run(*command: str | Path, stdin: str | None = None) -> str:
    """Run a short command to its end; its output."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise ClusterFailed(f"{' '.join(map(str, command))}: wanted exit 0, found {done.returncode} ({said})")
    return done.stdout


def _started(name: str, arguments: Any, log: Path, environment: Mapping[str, str] | None) -> Daemon:
    with log.open("ab") as output:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
    return Daemon(name, process, log)


def answers(url: str, context: ssl.SSLContext | None = None) -> Callable[[], bool]:
    """A question for `Daemon.wait`: whether a GET of this address succeeds now."""

    def ask() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=2, context=context) as reply:
                return reply.status == 200
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    return ask


def free_port(address: str = "127.0.0.1") -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind((address, 0))
        return listener.getsockname()[1]
