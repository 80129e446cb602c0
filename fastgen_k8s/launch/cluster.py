"""What a cluster offers to the jobs that are put on it: names of queues, accounts, classes and configuration."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from fastgen_k8s.config import Config

GROUP = "fastgen-k8s.github.io"  # of our labels, annotations and objects
POOL = f"{GROUP}/pool"  # label and taint of the nodes of a pool

Label = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)]  # DNS-1123
Dotted = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)]  # a DNS subdomain
LabelKey = Annotated[
    str, Field(pattern=r"^([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$", max_length=317)
]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$", max_length=63)]
JobName = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", max_length=42)]
"""42 characters: the longest pod name made of it, `-rendezvous-0-0-abcde` behind it, is a label of 63."""


class Toleration(Config):
    """A taint that pods may ignore."""

    key: LabelKey
    value: LabelValue | None = None  # None: whatever it is
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None  # None: each


class Cluster(Config):
    """Where in a cluster jobs go; nothing of it changes what they compute."""

    namespace: Label = "fastgen"
    job: JobName | None = None  # None: made of the work
    queue: Label | None = None  # Kueue's LocalQueue, or Volcano's queue
    queue_priority: Dotted | None = None  # Kueue's WorkloadPriorityClass: who waits and who is preempted
    priority_class: Dotted | None = None  # of pods
    service_account: Dotted = "fastgen-trainer"
    pull_secrets: tuple[Dotted, ...] = ()
    config_maps: tuple[Dotted, ...] = ("fastgen-storage",)  # become environment variables, where they exist
    secrets: tuple[Dotted, ...] = ("fastgen-s3",)  # the same
    node_selector: Mapping[LabelKey, LabelValue] = {}
    tolerations: tuple[Toleration, ...] = ()
    ttl: NonNegativeInt | None = None  # seconds after which a finished job is removed
    deadline: PositiveInt | None = None  # seconds that the job may take
    cache_gib: PositiveInt = 50  # of a pod's own disk, for what it reads from the store
    suspend: bool = False  # put there, not started
    labels: Mapping[LabelKey, LabelValue] = {}
