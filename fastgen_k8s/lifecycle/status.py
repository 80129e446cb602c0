"""The status of a `DistillationPipeline`: what the controller has seen and decided, and nothing that it could work out.

Names are Kubernetes' (camelCase), since people and their tools read this object beside others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from fastgen_k8s.artifacts.names import Sha256
from fastgen_k8s.config import Config
from fastgen_k8s.errors import BadInput, Misdescribed, OutOfMemory, Stopped, StoreFailed, Unhealthy
from fastgen_k8s.pipeline.spec import FactKey, Name, Number, Uri

Reason = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=64)]
Message = Annotated[str, Field(max_length=1024)]
Timestamp = Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"})]
Count = Annotated[int, Field(ge=0, le=2**53)]
Inputs = Annotated[Mapping[FactKey, Sha256], Field(max_length=32)]
Spec = Annotated[str, Field(max_length=65_536)]
Column = Annotated[str, Field(max_length=64)]


class Condition(Config):
    """One condition, as metav1 has them."""

    type: Reason
    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: Message
    observedGeneration: Count | None = None
    lastTransitionTime: Timestamp


class StageProgress(Config):
    """How far the running attempt is, from the object that rank 0 writes."""

    step: Count
    total: Count
    rate: Number | None = None  # steps a second
    eta: Count | None = None  # seconds
    loss: Number | None = None


State = Literal[
    "Waiting",  # for stages before it, for the time of its next attempt, or for what its message says
    "Queued",  # its job is made, and no pod works yet
    "Running",
    "Stopping",  # its job is asked to end; the exit class says why
    "Succeeded",
    "Failed",
]
LIVE: frozenset[State] = frozenset({"Queued", "Running", "Stopping"})
"""States in which the attempt's outcome is not known yet."""
SETTLED: frozenset[State] = frozenset({"Succeeded", "Failed"})

ExitClass = Literal[
    "Misdescribed",
    "BadInput",
    "Unhealthy",
    "OutOfMemory",
    "StoreFailed",
    "Crashed",
    "Stalled",
    "DeadlineExceeded",
    "GateFailed",
    "Gone",  # its job was removed by somebody else
    "Suspended",
    "Superseded",  # its settings or inputs changed
    "Replaced",  # it had never worked, and its image, placement or queue changed, or somebody asked for another
]


_CLASSES: Mapping[int, ExitClass] = {
    Misdescribed.code: "Misdescribed",
    BadInput.code: "BadInput",
    Unhealthy.code: "Unhealthy",
    OutOfMemory.code: "OutOfMemory",
    StoreFailed.code: "StoreFailed",
}
_CODES: Mapping[ExitClass, int] = {
    "DeadlineExceeded": Stopped.code,
    "GateFailed": Unhealthy.code,  # whatever its job said: that one ended well
    "Stalled": 1,
    **{kind: code for code, kind in _CLASSES.items()},
}


@dataclass(frozen=True)
class Outcome:
    """What an attempt without an artifact came to."""

    code: int
    kind: ExitClass
    said: str

    @classmethod
    def of(cls, code: int, said: str) -> "Outcome":
        """That of an attempt that ended by itself, with this exit code."""
        return cls(code, _CLASSES.get(code, "Crashed"), said)


class StageStatus(Config):
    """One stage of the observed generation."""

    name: Name
    state: State = "Waiting"
    attempt: Count = 0  # jobs made for it so far
    failures: Count = 0  # of them, since its settings changed or somebody asked to try again: these use up `retries`
    job: Annotated[str, Field(max_length=63)] | None = None  # of the last attempt
    nodes: Count = 0  # that an attempt has at most
    nodesReady: Count = 0
    progress: StageProgress | None = None
    progressedAt: Timestamp | None = None  # when another step was seen last
    checkpoint: Count | None = None  # step of the last one
    exitCode: Annotated[int, Field(ge=0, le=255)] | None = None  # of the last attempt that ended
    exitClass: ExitClass | None = None
    message: Message | None = None  # why it waits, or how it ended
    reason: Reason | None = None  # why it waits, in a word, where somebody may have to do something about it
    artifact: Uri | None = None
    sha256: Sha256 | None = None  # of its artifact.json, as the first that was seen of this work's
    startedAt: Timestamp | None = None  # when a pod of the last attempt began to work
    finishedAt: Timestamp | None = None  # when the last attempt ended


def code_of(failed: StageStatus) -> int:
    """The exit code that the end of a stage comes to."""
    known = None if failed.exitClass is None else _CODES.get(failed.exitClass)
    return known or failed.exitCode or 1


class Columns(Config):
    """What `kubectl get` shows."""

    stage: Column = ""
    progress: Column = ""
    nodes: Column = ""
    loss: Column = ""
    status: Column = ""


class Status(Config):
    """What became of a pipeline, and why it waits."""

    observedGeneration: Count | None = None
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = ()
    works: Sha256 | None = None  # of what the digests depend on: while it stays, they stay
    digests: Annotated[
        Mapping[FactKey, Sha256], Field(max_length=64)
    ] = {}  # frozen, whatever version the controller has
    inputs: Annotated[
        Mapping[FactKey, Inputs], Field(max_length=64)
    ] = {}  # so too; those that no stage makes, by stage
    accepted: Spec | None = None  # the spec of the observed generation as JSON, in which a later one may be wrong
    stages: Annotated[tuple[StageStatus, ...], Field(max_length=64)] = ()
    startedAt: Timestamp | None = None  # when this generation was accepted
    finishedAt: Timestamp | None = None
    retried: Annotated[str, Field(max_length=253)] | None = None  # the last request to try a stage again that was met
    columns: Columns | None = None


def seconds(time: str) -> float:
    """Seconds since 1970 of a time as Kubernetes writes it."""
    return datetime.fromisoformat(time).timestamp()


def rfc3339(when: float) -> str:
    """A time as Kubernetes writes it, to the second."""
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
