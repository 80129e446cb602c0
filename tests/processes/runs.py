"""Training runs as real worker processes, forked from a server that has imported the stage once."""

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastgen_k8s.agent.crew import Crew
from fastgen_k8s.agent.meeting import Alone
from fastgen_k8s.agent.node import preloaded
from fastgen_k8s.agent.worker import End
from fastgen_k8s.artifacts import find_artifact, store_at
from fastgen_k8s.artifacts.metrics import read_metrics
from fastgen_k8s.pipeline.work import Execution, Work
from fastgen_k8s.stages.stage import resolve
from fastgen_k8s.training.checkpoint import load_role

Lines = list[dict[str, Any]]


@dataclass(frozen=True)
class Run:
    """A training to be run somewhere, on some number of processes."""

    experiment: str
    settings: tuple[str, ...]
    inputs: dict[str, str]
    output: Path | str
    processes: int = 1
    micro_batch: int | None = None
    save_every: int = 3
    collective_timeout: int = 20

    def argv(self) -> list[str]:
        """The command line of its workers."""
        execution = Execution(
            log_every=1, save_every=self.save_every, trackers=(), collective_timeout=self.collective_timeout
        )
        micro_batch = [] if self.micro_batch is None else ["--micro-batch", str(self.micro_batch)]
        work = Work(
            kind="train",
            experiment=self.experiment,
            overrides=self.settings,
            inputs=self.inputs,
            output=str(self.output),
        )
        return [*work.argv(), *micro_batch, *execution.argv()]

    def to(self, output: Path | str, **changes: Any) -> "Run":
        """The same training elsewhere."""
        return replace(self, output=output, **changes)

    def start(self) -> Crew:
        """Its workers, started."""
        crew = Crew(self.argv(), preloaded(resolve(self.argv())))
        group = Alone(self.processes).next()
        # The fork server may be older than what this process says of stores.
        stores = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "FASTGEN_"))}
        crew.start([stores | group.environment(rank) for rank in range(self.processes)])
        return crew

    def finish(self) -> End:
        """Run to the end."""
        return ended(self.start())

    def losses(self) -> Lines:
        """Every step's losses and gradient norms, without the time at which they were logged."""
        lines = read_metrics(store_at(str(self.output)))
        return [{name: value for name, value in line.items() if name != "time"} for line in lines]

    def weights(self) -> dict[str, Tensor]:
        """The final weights of all roles, and the student's average, by role and name."""
        artifact = find_artifact(str(self.output))
        assert artifact is not None
        roles = artifact.manifest.facts["roles"]
        assert isinstance(roles, list)
        found: dict[str, Tensor] = {}
        for role in map(str, roles):
            found |= {f"{role}.{name}": value for name, value in load_role(artifact, role, "raw")[0].items()}
        if artifact.manifest.facts["ema"]:
            found |= {f"ema.{name}": value for name, value in load_role(artifact, "student", "ema")[0].items()}
        return found

    def folders(self) -> set[Path]:
        """Where checkpoints are, or are being written."""
        return set(Path(self.output).glob("checkpoints/*-*/*"))

    def steps_committed(self) -> list[int]:
        """The steps of its committed checkpoints."""
        names = store_at(str(self.output)).keys("checkpoints/step-")
        return sorted(int(name.removesuffix(".json").rpartition("-")[2]) for name in names)


def ended(crew: Crew) -> End:
    """How a crew ends that nobody disturbs."""
    return crew.wait(asked=lambda: False, regroup=lambda: False, grace=30, together=True)


def kill_one(crew: Crew, chance: random.Random) -> None:
    """SIGKILL a random worker."""
    pid = chance.choice(crew.workers).process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def wait_until(happened: Callable[[], bool], crew: Crew) -> bool:
    """Look until something has happened; whether it did while the whole crew was alive."""
    while all(worker.process.exitcode is None for worker in crew.workers):
        if happened():
            return True
        time.sleep(0.001)
    return False


def equal_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two sets of weights are the same to the last bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def largest_difference(one: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]]) -> float:
    """The largest difference between two series of losses, relative where they are above 1."""
    assert [line.keys() for line in one] == [line.keys() for line in other]
    pairs = [(a[name], b[name]) for a, b in zip(one, other, strict=True) for name in a]
    return max(abs(a - b) / max(1.0, abs(a)) for a, b in pairs)
