"""One worker process of a stage: does or checks the work, and ends with an exit code and its last words.

This module imports no torch: the agent imports it too, and needs none.
"""

import errno
import faulthandler
import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from types import FrameType
from typing import Literal, NamedTuple, cast

from fastgen_k8s.artifacts import find_artifact
from fastgen_k8s.errors import LOST, BadInput, FastgenError, Misdescribed, OutOfMemory, Stopped, failed_io
from fastgen_k8s.pipeline.kinds import KINDS
from fastgen_k8s.stages.stage import StageJob, StageModule, resolve

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
_LOST_PEER = ("connection closed by peer", "connection reset by peer", "broken pipe", "timed out", "connection refused")


class End(NamedTuple):
    """How a worker ended."""

    code: int
    words: str = ""  # one line for a person


def finished(job: StageJob) -> bool:
    """Whether the output is committed already; BadInput when it is that of another work."""
    artifact = find_artifact(job.work.output)
    if artifact is None:
        return False
    kind, found = KINDS[job.work.kind].makes, artifact.manifest
    if (found.kind, found.digest) != (kind, job.digest):
        raise BadInput(
            f"{job.work.output}: wanted the place of {kind} {job.digest[:16]}, "
            f"found that of {found.kind} {found.digest[:16]}"
        )
    return True


def check(argv: Sequence[str]) -> None:
    """Raise what is wrong with the work."""
    job = resolve(argv)
    _stage(job).check(job)


def do(argv: Sequence[str]) -> None:
    """Do the work, unless it is done; on return the artifact is committed."""
    job = resolve(argv)
    if not finished(job):
        _stage(job).run(job)


def ended(work: Callable[[Sequence[str]], None], argv: Sequence[str]) -> End:
    """Do the work, and say how it ended; what nobody foresaw is raised, and is code 1."""
    import torch  # here, because the agent has no use for it

    try:
        if "OMP_NUM_THREADS" in os.environ:
            torch.set_num_threads(threads(os.environ["OMP_NUM_THREADS"]))
        work(argv)
    except FastgenError as error:
        return End(error.code, str(error))
    except MemoryError as error:
        return End(OutOfMemory.code, _memory(str(error)))
    except torch.OutOfMemoryError as error:
        return End(OutOfMemory.code, str(error).splitlines()[0])
    except OSError as error:
        if error.errno not in _NO_ROOM and error.filename is None:
            raise  # no file's error: a connection's
        found = failed_io(error)
        return End(found.code, str(found))
    except RuntimeError as error:
        if "allocate memory" in str(error):  # torch's CPU allocator has no class of its own
            return End(OutOfMemory.code, _memory(str(error)))
        if lost_peer(error):
            return End(LOST, f"a peer was lost: {str(error).splitlines()[0]}")
        raise
    return End(0)


def threads(given: str) -> int:
    """What OMP_NUM_THREADS says: a number, or a list with one for each level of nesting."""
    first = given.partition(",")[0].strip()
    if not first.isdecimal() or int(first) == 0:
        raise Misdescribed(f"OMP_NUM_THREADS: wanted a number of threads, found {given!r}")
    return int(first)


def lost_peer(error: RuntimeError) -> bool:
    """Whether a collective, or meeting for one, failed because another process is gone or silent.

    NCCL and the store have a class for it; gloo has words only.
    """
    import torch.distributed as dist

    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return False
    return isinstance(error, dist.DistError) or any(sign in str(error).lower() for sign in _LOST_PEER)


def process(task: Literal["check", "do"], argv: Sequence[str], environment: Mapping[str, str], say: Connection) -> None:
    """The whole life of a process that an agent starts."""
    gc.freeze()  # its server's objects, which it shares with it
    gc.enable()
    os.environ.update(environment)
    faulthandler.enable()
    stop_when_asked()
    threading.Thread(target=_end_with_agent, daemon=True).start()
    end = ended({"check": check, "do": do}[task], argv)
    say.send(end.words)
    leave(end.code)


def leave(code: int) -> None:
    """Exit at once: threads that wait for lost peers must not keep a process."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def stop_when_asked() -> None:
    """A signal raises Stopped in the main thread; a stage that can end better listens itself."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _raise_stopped)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))


def _raise_stopped(number: int, frame: FrameType | None) -> None:
    raise Stopped(f"asked to stop by {signal.Signals(number).name}")


def _stage(job: StageJob) -> StageModule:
    return cast(StageModule, importlib.import_module(f"fastgen_k8s.stages.{job.work.kind}"))


def _end_with_agent() -> None:
    """A worker whose agent was killed must not go on beside the worker of the next one."""
    agent = parent_process()
    if agent is not None:
        agent.join()
        os.kill(os.getpid(), signal.SIGKILL)


def _memory(asked: str) -> str:
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    words = asked.splitlines()[0] if asked else "an allocation"
    return f"out of memory: {words}; {free / 2**30:.1f} GiB of the machine were free"
