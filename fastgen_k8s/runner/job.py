"""The job of an attempt on this machine, as the state machine sees it."""

from dataclasses import dataclass

from fastgen_k8s.artifacts.progress import read_progress
from fastgen_k8s.errors import FastgenError
from fastgen_k8s.lifecycle.fold import Look


@dataclass
class LocalJob:
    """The job of an attempt that was alive when last looked at."""

    stage: str
    digest: str  # first 16 of its work's digest, the last part of its output
    output: str
    began: float  # seconds since 1970
    attempt: int = 1
    handle: str | None = None  # of TorchX; None: adopted from a killed runner
    kill_at: float | None = None  # seconds, monotonic: when patience ends
    ready: int = 1
    ended: bool = False
    cancelled: bool = False

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.stage}-{self.attempt}"


def at_work(job: LocalJob, why: str | None = None) -> Look:
    """A job that is alive, and how far it is, unless its store does not answer."""
    try:
        return Look(job, why=why).told(read_progress(job.output))
    except FastgenError:
        return Look(job, why=why, unread=True)
