"""The worker processes of one node: forked from a server, watched to their end."""

import multiprocessing
import multiprocessing.forkserver
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Literal, NamedTuple

from fastgen_k8s.agent.worker import End, process
from fastgen_k8s.errors import OutOfMemory, Stopped, rank

_SERVER = "fastgen_k8s.agent.server"
_LOOK_EVERY = 0.5  # seconds
_PATIENCE = 5.0  # seconds for the peers of a failed worker to fail on their own
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_CGROUPS, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_ACCELERATORS = tuple(map(Path, ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")))  # NVIDIA's, AMD's, either's under WSL


class WorkerProcess(NamedTuple):
    """A process, and where its last words come from."""

    process: ForkServerProcess
    words: Callable[[], object]  # what it said last; EOFError when it is gone and said nothing


def may_preload(devices: Iterable[Path] = _ACCELERATORS) -> bool:
    """Whether workers may be forked from a server that has imported the stage: on nodes without an accelerator.

    It saves the time of the import. But diffusers looks for a GPU while it is imported, and CUDA refuses to work in
    processes that are forked after that.
    """
    return not any(device.exists() for device in devices)


class Crew:
    """The workers of a stage on this node, forked from a server that imports some modules first."""

    def __init__(self, argv: Sequence[str], preload: Sequence[str]) -> None:
        self.argv = tuple(argv)
        self.workers: list[WorkerProcess] = []
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([_SERVER, *preload])
        # The server is born with these signals blocked: one that is sent to the whole process group leaves it alone.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        multiprocessing.forkserver.ensure_running()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def check(self) -> End:
        """Check the work in a process of its own."""
        worker = self._start("check", {})
        worker.process.join()
        return _end(worker)

    def start(self, environments: Iterable[Mapping[str, str]]) -> None:
        """Start one worker for each environment."""
        self.workers = []
        for environment in environments:
            self.workers.append(self._start("do", environment))

    def tell(self) -> None:
        """Ask all workers to stop at the end of their step."""
        for worker in self._alive():
            worker.process.terminate()

    def wait(self, *, asked: Callable[[], bool], regroup: Callable[[], bool], grace: float, together: bool) -> End:
        """How the crew ended, as its root worker did.

        `regroup` says that other nodes want to join. Workers that work together cannot go on when one has ended: they
        get some time to end on their own, and are killed then.
        """
        kills, deadline = oom_kills(), None
        while alive := self._alive():
            connection.wait([worker.process.sentinel for worker in alive], timeout=_LOOK_EVERY)
            codes = [worker.process.exitcode for worker in self.workers if worker.process.exitcode is not None]
            if deadline is None:
                deadline = self._deadline(codes if together else [], asked(), regroup, grace)
            elif time.monotonic() > deadline:
                for worker in self._alive():
                    worker.process.kill()
        return root([_end(worker) for worker in self.workers], oom_kills() > kills)

    def _deadline(self, codes: Sequence[int], asked: bool, regroup: Callable[[], bool], grace: float) -> float | None:
        now = time.monotonic()
        if any(code not in (0, Stopped.code) for code in codes):
            return now + _PATIENCE
        if asked or codes:
            return now + grace
        if regroup():
            self.tell()
            return now + grace
        return None

    def _start(self, task: Literal["check", "do"], environment: Mapping[str, str]) -> WorkerProcess:
        hear, say = self._context.Pipe(duplex=False)
        started = self._context.Process(target=process, args=(task, self.argv, environment, say), daemon=True)
        started.start()
        say.close()
        return WorkerProcess(started, hear.recv)

    def _alive(self) -> list[WorkerProcess]:
        return [worker for worker in self.workers if worker.process.exitcode is None]


def root(ends: Sequence[End], out_of_memory: bool) -> End:
    """The end that explains the others: a diagnosis before a crash, a crash before what followed from it."""
    ends = [_killed_for_memory(end) if out_of_memory and end.code == -signal.SIGKILL else end for end in ends]
    return min(ends, key=lambda end: rank(end.code))


def oom_kills(cgroups: Path = _CGROUPS, own: Path = _OWN) -> int:
    """How many processes of this container were killed for its memory limit so far (cgroup v2 or v1)."""
    text = _of_cgroup("memory.events", "memory.oom_control", cgroups, own)
    fields = dict(line.split(maxsplit=1) for line in text.splitlines() if " " in line)
    return int(fields.get("oom_kill", 0))


def _of_cgroup(v2: str, v1: str, cgroups: Path, own: Path) -> str:
    """A file of this process's memory cgroup; in a container it is at the root, whatever the path says. Else ""."""
    lines = [line.split(":", 2) for line in own.read_text().splitlines()] if own.is_file() else []
    paths = {kinds: path.lstrip("/") for _, kinds, path in lines}
    places = [(cgroups, paths.get("", ""), v2), (cgroups / "memory", paths.get("memory", ""), v1)]
    files = [file for root, path, name in places for file in (root / path / name, root / name)]
    return next((file.read_text() for file in files if file.is_file()), "")


def _killed_for_memory(end: End) -> End:
    return End(OutOfMemory.code, f"out of memory: a worker was killed at the container's limit of {_limit()}")


def _limit(cgroups: Path = _CGROUPS, own: Path = _OWN) -> str:
    text = _of_cgroup("memory.max", "memory.limit_in_bytes", cgroups, own).strip()
    return f"{int(text) / 2**30:.1f} GiB" if text.isdigit() else "unknown size"


def _end(worker: WorkerProcess) -> End:
    code = worker.process.exitcode
    assert code is not None  # it has ended
    with suppress(EOFError):  # it had no time for words
        return End(code, str(worker.words()))
    return End(code, f"killed by {signal.Signals(-code).name}" if code < 0 else "crashed; its traceback is above")
