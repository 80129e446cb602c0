"""The place where the agents of a job meet, in a process of its own: no agent's loss takes it away.

    python -m fastgen_k8s.rendezvous --port 29400 [--until AN AGENT'S ARGUMENTS]

It ends with 75 when it is asked to stop, because what succeeds is not started again, and with 0 when the work that
`--until` describes is published; like an agent it refuses a place that belongs to another work (65).
"""

import argparse
import signal
import sys
from collections.abc import Sequence

from fastgen_k8s.agent.worker import finished, stop_when_asked
from fastgen_k8s.errors import FastgenError, Misdescribed, Stopped, StoreFailed, refuse
from fastgen_k8s.stages.stage import StageJob, resolve

_LOOK_EVERY = 5.0  # seconds


def main(argv: Sequence[str]) -> int:
    """Serve until asked to stop, or until the work is published; the exit code."""
    stop_when_asked()
    try:
        return _serve(argv)
    except FastgenError as error:
        return refuse(error)


def _serve(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="fastgen_k8s.rendezvous", allow_abbrev=False)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--until", nargs=argparse.REMAINDER)
    found = parser.parse_args(argv)
    port: int = found.port
    if not 0 < port < 65_536:
        raise Misdescribed(f"--port: wanted a port, found {port}")
    awaited = resolve(found.until) if found.until else None
    from torch.distributed import DistNetworkError, TCPStore  # pyright: ignore[reportPrivateImportUsage]

    try:
        store = TCPStore("0.0.0.0", port, is_master=True, wait_for_workers=False, multi_tenant=False)
    except DistNetworkError as error:
        raise StoreFailed(f"port {port}: {str(error).splitlines()[0]}") from error
    print(f"rendezvous: agents meet at port {store.port}", flush=True)
    while True:
        asked = signal.sigtimedwait((signal.SIGTERM, signal.SIGINT), _LOOK_EVERY)
        if asked is not None:
            raise Stopped(f"asked to stop by {signal.Signals(asked.si_signo).name}")
        if awaited is not None and _published(awaited):
            return 0


def _published(job: StageJob) -> bool:
    """Whether it is; a store that can't be asked now is asked again, since those who train still meet here."""
    try:
        return finished(job)
    except StoreFailed as error:
        print(f"rendezvous: {error}", file=sys.stderr, flush=True)
        return False
