"""How a stage is told what to do and where it runs: its agent's arguments and environment, the same everywhere."""

import re
import zlib

from fastgen_k8s.pipeline.work import GRACE, Execution, Placement, Work

AGENT = "fastgen_k8s.agent"
_WORDS = 33  # characters; with the mark behind them 42, the most that a JobSet's pods leave to its name


def argv(work: Work, placement: Placement, execution: Execution) -> list[str]:
    """The agent's arguments: the work, the micro-batch, the habits."""
    micro = ["--micro-batch", str(placement.micro_batch)] if placement.micro_batch else []
    return [*work.argv(), *micro, *execution.argv()]


def environment(work: Work, placement: Placement) -> dict[str, str]:
    """How many workers an agent starts and how agents find each other (torchrun's PET_ variables)."""
    alone = {
        "OMP_NUM_THREADS": "1",  # OpenMP barriers of several busy processes spin against each other
        "PET_NNODES": placement.nodes,
        "PET_NPROC_PER_NODE": str(placement.processes),
    }
    patience = {GRACE: str(placement.grace)}
    if placement.max_nodes == 1:
        return alone | patience
    rendezvous = {
        "PET_RDZV_BACKEND": "c10d",
        "PET_RDZV_ID": f"{name(work)}-{_mark(work):08x}",
        "PET_RDZV_ENDPOINT": f"localhost:{_port(work)}",  # a cluster's renderer puts its own in place
    }
    return alone | rendezvous | patience


def escaped(word: str) -> str:
    """A word for a reader to whom `$` begins the name of something and `$$` is a dollar: TorchX, and the kubelet."""
    return word.replace("$", "$$")


def job_name(work: Work, given: str | None = None) -> str:
    """The name of a work's job in a cluster: the given one, or one made of what runs and where it writes to."""
    return given or f"{name(work)[:_WORDS].rstrip('-')}-{_mark(work):08x}"


def name(work: Work) -> str:
    """A DNS label that says what runs."""
    return re.sub(r"[^a-z0-9]+", "-", f"{work.kind}-{work.experiment}".lower()).strip("-")


def _port(work: Work) -> int:
    """A port for agents of one machine: a function of the output, below the range that systems hand out."""
    return 20_000 + _mark(work) % 10_000


def _mark(work: Work) -> int:
    return zlib.crc32(work.output.encode())
