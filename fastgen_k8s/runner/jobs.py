"""Jobs on this machine: started by TorchX's `local_cwd` scheduler, ended gently, or adopted from a killed runner."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from torchx.runner import Runner

from fastgen_k8s.errors import StoreFailed
from fastgen_k8s.launch.app import app, exit_code
from fastgen_k8s.launch.launch import Launch, escaped
from fastgen_k8s.pipeline.resolve import Resolved
from fastgen_k8s.runner import processes
from fastgen_k8s.runner.job import LocalJob
from fastgen_k8s.runner.root import Root

SCHEDULER = "local_cwd"
_GRACE_ON_TOP = 10  # seconds that an agent needs besides its workers' grace
_TAIL = 64 * 1024  # bytes of a log that are looked at
_LINES = 20


@dataclass(frozen=True)
class Ended:
    """How a job ended: the exit code of its agent, None for an adopted one, and what it said last."""

    job: LocalJob
    code: int | None
    log: Path | None = None


class LocalJobs:
    """The jobs of one root."""

    def __init__(self, runner: Runner, root: Root) -> None:
        self._runner, self._root = runner, root
        self.alive: list[LocalJob] = self._left_behind()

    def of(self, stage: str) -> LocalJob | None:
        """The job of a stage that is alive."""
        return next((job for job in self.alive if job.stage == stage), None)

    def start(self, stage: Resolved, attempt: int) -> LocalJob:
        """Begin a job of a stage."""
        application = app(Launch(stage.work, stage.stage.placement, stage.stage.execution))
        logs = str(self._root.logs(stage.stage.name))
        try:
            handle = self._runner.run(application, SCHEDULER, cfg={"log_dir": logs})
        except OSError as error:
            raise StoreFailed(f"{error.filename or logs}: {error.strerror}") from error
        job = LocalJob(stage.stage.name, Path(stage.output).name, stage.output, time.time(), attempt, handle)
        self.alive.append(job)
        return job

    def stop(self, job: LocalJob, grace: float) -> None:
        """Ask a job to write its checkpoint and end; after its grace it is killed."""
        job.kill_at = time.monotonic() + grace + _GRACE_ON_TOP
        processes.send(self._agents(job), signal.SIGTERM)

    def kill(self, job: LocalJob) -> None:
        """End a job at once."""
        processes.send(self._agents(job), signal.SIGKILL)

    def poll(self) -> list[Ended]:
        """The jobs that have ended since the last look; kills those that were asked and did not go."""
        ended: list[Ended] = []
        for job in list(self.alive):
            if job.kill_at is not None and time.monotonic() > job.kill_at:
                self.kill(job)
            result = self._adopted_end(job) if job.handle is None else self._own_end(job, job.handle)
            if result is not None:
                self.alive.remove(job)
                ended.append(result)
        return ended

    def _own_end(self, job: LocalJob, handle: str) -> Ended | None:
        status = self._runner.status(handle)
        if status is None or not status.is_terminal():
            return None
        code, log = exit_code(status)
        return Ended(job, code, log)

    def _adopted_end(self, job: LocalJob) -> Ended | None:
        return None if self._agents(job) else Ended(job, None)

    def _left_behind(self) -> list[LocalJob]:
        """The jobs of a killed runner."""
        outputs = dict.fromkeys(agent.output for agent in processes.find(self._root.uri))
        return [LocalJob(Path(output).parent.name, Path(output).name, output, time.time()) for output in outputs]

    def _agents(self, job: LocalJob) -> list[processes.Agent]:
        return [agent for agent in processes.find(self._root.uri) if agent.output == job.output]


def path_of_this_python() -> list[str]:
    """What the local scheduler has to find first, so that `python` is the one that runs us."""
    return [escaped(str(Path(sys.executable).parent))]


def last_words(log: Path | None) -> list[str]:
    """The stage's own `error:` line where it wrote one, else the last lines of its log."""
    if log is None or not log.is_file():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL))
        lines = [line.rstrip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return errors[-1:] or lines[-_LINES:]
