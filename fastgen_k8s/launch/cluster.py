"""What a cluster offers to the jobs that are put on it: names of queues, accounts, classes and configuration."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from fastgen_k8s.config import Config
from fastgen_k8s.pipeline.spec import API_VERSION, LabelKey, LabelValue

GROUP = API_VERSION.partition("/")[0]  # of our labels, annotations and objects
POOL = f"{GROUP}/pool"  # label and taint of the nodes of a pool

Label = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)]  # DNS-1123
Dotted = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)]  # a DNS subdomain
JobName = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", max_length=42)]
"""42 characters: the longest pod name made of it, `-rendezvous-0-0-abcde` behind it, is a label of 63."""


class Toleration(Config):
    """A taint that pods may ignore."""

    key: LabelKey
    value: LabelValue | None = None  # None: whatever it is
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None  # None: each


class Cluster(Config):
    """Where in a cluster jobs go; nothing of it changes what they compute. TorchX's `-cfg` takes the same words."""

    namespace: Label = Field(default="fastgen", description="Where the job goes.")
    job: JobName | None = Field(default=None, description="Its name, at most 42 characters; none: made of the work.")
    queue: Label | None = Field(
        default=None, description="The queue that admits it: Kueue's LocalQueue, or Volcano's queue."
    )
    queue_priority: Dotted | None = Field(default=None, description="Kueue's WorkloadPriorityClass; not for Volcano.")
    priority_class: Dotted | None = Field(
        default=None, description="PriorityClass of the pods, and of a job of Volcano."
    )
    service_account: Dotted = Field(
        default="fastgen-trainer", description="Whose workload identity the pods have; its token is not mounted."
    )
    pull_secrets: tuple[Dotted, ...] = Field(default=(), description="Secrets of the image's registry.")
    config_maps: tuple[Dotted, ...] = Field(
        default=("fastgen-storage",), description="ConfigMaps that become environment variables, where they exist."
    )
    secrets: tuple[Dotted, ...] = Field(
        default=("fastgen-s3",), description="Secrets that become environment variables, where they exist."
    )
    node_selector: Mapping[LabelKey, LabelValue] = Field(default={}, description="Labels that nodes must have.")
    tolerations: tuple[Toleration, ...] = Field(
        default=(), description="Taints that are ignored, each as key, key=value or key=value:effect."
    )
    ttl: NonNegativeInt | None = Field(default=None, description="Seconds after which the finished job is removed.")
    deadline: PositiveInt | None = Field(default=None, description="Seconds that the job may take; not for Volcano.")
    cache_gib: PositiveInt = Field(default=50, description="Disk of a pod for what it reads from the store.")
    suspend: bool = Field(
        default=False, description="Put the job there without starting it; not with a queue, not for Volcano."
    )
    labels: Mapping[LabelKey, LabelValue] = Field(
        default={}, description="Of the job and its pods, besides ours; the controller's alone."
    )
