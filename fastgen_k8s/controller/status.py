"""The status of a `DistillationPipeline`: what the controller has seen and decided, and nothing that it could work out.

Names are Kubernetes' (camelCase), since people and their tools read this object beside others.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from fastgen_k8s.config import Config
from fastgen_k8s.pipeline.spec import Key, Name, Number, Uri

Reason = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=64)]
Message = Annotated[str, Field(max_length=1024)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", max_length=64)]
Time = Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"})]
Count = Annotated[int, Field(ge=0, le=2**53)]
Column = Annotated[str, Field(max_length=64)]


class Condition(Config):
    """One condition, as metav1 has them."""

    type: Reason
    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: Message
    observedGeneration: Count | None = None
    lastTransitionTime: Time


class Progress(Config):
    """How far the running attempt is, from the object that rank 0 writes."""

    step: Count
    total: Count
    rate: Number | None = None  # steps a second
    eta: Count | None = None  # seconds
    loss: Number | None = None


class StageStatus(Config):
    """One stage of the observed generation."""

    name: Name
    state: Reason
    attempt: Count = 0
    job: Annotated[str, Field(max_length=63)] | None = None
    nodesReady: Count = 0
    progress: Progress | None = None
    checkpoint: Count | None = None  # step of the last one
    exitClass: Reason | None = None
    message: Message | None = None
    artifact: Uri | None = None
    startedAt: Time | None = None
    finishedAt: Time | None = None


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
    digests: Annotated[Mapping[Key, Digest], Field(max_length=64)] = {}  # frozen for this generation
    stages: Annotated[tuple[StageStatus, ...], Field(max_length=64)] = ()
    columns: Columns | None = None
