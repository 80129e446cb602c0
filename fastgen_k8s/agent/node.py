"""One process a node: checks a stage's work, runs its workers, and ends with the code that a controller reads.

It imports no torch where there is a single node, so that a mistake is reported in a fraction of a second.
"""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from fastgen_k8s import log
from fastgen_k8s.agent.crew import Crew, may_preload
from fastgen_k8s.agent.meeting import Alone, Elastic, Meeting
from fastgen_k8s.agent.worker import End, finished, threads
from fastgen_k8s.errors import LOST, PERMANENT, FastgenError, Misdescribed, Stopped, StoreFailed, failed_io
from fastgen_k8s.pipeline.kinds import KINDS
from fastgen_k8s.pipeline.work import GRACE, Placement, check_world
from fastgen_k8s.stages.stage import StageJob, resolve

RESTARTS = 3  # of crashed workers, in the life of an agent


def main(argv: Sequence[str]) -> int:
    """Run one node's part of a stage; its exit code."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # OpenMP barriers of several busy processes spin against each other
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # a lost peer or host is expected, not worth a C++ stack
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop_now)
    try:
        end = _run(argv)
    except FastgenError as error:
        end = End(error.code, str(error))
    except OSError as error:
        if error.filename is None:
            raise  # no file's error: a connection's
        found = failed_io(error)
        end = End(found.code, str(found))
    if end.code:
        print(f"{'stopped' if end.code == Stopped.code else 'error'}: {end.words}", file=sys.stderr)
    return 128 - end.code if end.code < 0 else end.code


def verdict(end: End, asked: bool, alone: bool, restarts: int) -> int | None:
    """The code to end with, or None to start the workers again."""
    if end.code == 0 or end.code in PERMANENT or end.code == StoreFailed.code:
        return end.code
    if asked:
        return Stopped.code
    if restarts < RESTARTS or not crashed(end, alone):
        return None
    return 1 if end.code == LOST else end.code


def crashed(end: End, alone: bool) -> bool:
    """Whether this is one of RESTARTS: not when others left or want to come, which a node alone does not have."""
    return end.code != Stopped.code and (alone or end.code != LOST)


def _run(argv: Sequence[str]) -> End:
    threads(os.environ["OMP_NUM_THREADS"])  # refused before OpenMP itself complains
    job, placement = resolve(argv), _placement()
    check_world(job.work, placement)
    if finished(job):
        return End(0)
    agent = _Agent(job, placement, Crew(argv, preloaded(job) if may_preload() else ()))
    checked = agent.crew.check()
    return checked if checked.code else agent.work()


def preloaded(job: StageJob) -> tuple[str, ...]:
    """What is imported once for all workers: the stage, and where they share one work the class of its networks."""
    kind = KINDS[job.work.kind]
    transformer = job.experiment.model.network.transformer.partition(":")[0] if kind.shared else ""
    return tuple(filter(None, (f"fastgen_k8s.stages.{kind.name}", "fastgen_k8s.agent.worker", transformer)))


class _Agent:
    """The workers of this node and the signals that are meant for them."""

    def __init__(self, job: StageJob, placement: Placement, crew: Crew) -> None:
        self.job, self.placement, self.crew = job, placement, crew
        self.together = KINDS[job.work.kind].elastic
        self.asked = self.working = False
        self.grace = _grace(placement)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def work(self) -> End:
        """Groups of workers, one after the other, until there is a verdict."""
        meeting, restarts = self._meeting(), 0
        alone = isinstance(meeting, Alone)
        while (group := meeting.next()) is not None:
            places = range(self.placement.processes)
            apart = [{"LOCAL_RANK": str(place)} for place in places]
            end = self._round([group.environment(place) for place in places] if self.together else apart, meeting)
            if end.code and finished(self.job):
                end = End(0)  # another worker, or another node, has done it
            code = verdict(end, self.asked, alone, restarts)
            if code is not None:
                if code == 0 or code in PERMANENT:
                    meeting.close()  # after a crash, a new node may take this one's place
                return End(code, end.words)
            restarts += crashed(end, alone)
            log.warning("starting the workers again", reason=end.words, crashes=restarts, of=RESTARTS)
        return End(0 if finished(self.job) else 1, f"another node has ended the work of {self.job.work.output}")

    def _round(self, environments: Sequence[dict[str, str]], meeting: Meeting) -> End:
        self.working = True
        self.crew.start(environments)
        if self.asked:  # while they were started
            self.crew.tell()
        end = self.crew.wait(
            asked=lambda: self.asked, regroup=meeting.others_wait, grace=self.grace, together=self.together
        )
        self.working = False
        return end

    def _meeting(self) -> Meeting:
        low, high = self.placement.min_nodes, self.placement.max_nodes
        if high == 1 or not self.together:
            return Alone(self.placement.processes)
        return Elastic(low, high, self.placement.processes, os.environ)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if not self.working:
            stop_now(number, frame)
        self.crew.tell()


def stop_now(number: int, frame: FrameType | None) -> None:
    """End where nothing runs that would have to be saved."""
    raise Stopped(f"asked to stop by {signal.Signals(number).name} while no worker ran")


def _grace(placement: Placement) -> float:
    given = os.environ.get(GRACE, str(placement.grace))
    try:
        return float(given)
    except ValueError as error:
        raise Misdescribed(f"{GRACE}: wanted seconds, found {given!r}") from error


def _placement() -> Placement:
    """Where this node is, from torchrun's own variables."""
    where, processes = "PET_NNODES and PET_NPROC_PER_NODE", os.environ.get("PET_NPROC_PER_NODE", "1")
    if not (processes.isascii() and processes.isdecimal()):
        raise Misdescribed(f"{where}: processes: wanted a whole number, found {processes!r}")
    return Placement.parse({"nodes": os.environ.get("PET_NNODES", "1"), "processes": int(processes)}, where)
