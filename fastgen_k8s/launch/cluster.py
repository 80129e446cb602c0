"""What a cluster offers to the jobs that are put on it: names of queues, accounts, classes and configuration."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt

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

    model_config = ConfigDict(use_attribute_docstrings=True)

    namespace: Label = "fastgen"
    """Where the job goes."""
    job: JobName | None = None
    """Its name, at most 42 characters; none: made of the work."""
    queue: Label | None = None
    """The queue that admits it: Kueue's LocalQueue, or Volcano's queue."""
    queue_priority: Dotted | None = None
    """Kueue's WorkloadPriorityClass; not for Volcano."""
    priority_class: Dotted | None = None
    """PriorityClass of the pods, and of a job of Volcano."""
    service_account: Dotted = "fastgen-trainer"
    """Whose workload identity the pods have; its token is not mounted."""
    pull_secrets: tuple[Dotted, ...] = ()
    """Secrets of the image's registry."""
    config_maps: tuple[Dotted, ...] = ("fastgen-storage",)
    """ConfigMaps that become environment variables, where they exist."""
    secrets: tuple[Dotted, ...] = ("fastgen-s3",)
    """Secrets that become environment variables, where they exist."""
    node_selector: Mapping[LabelKey, LabelValue] = {}
    """Labels that nodes must have."""
    tolerations: tuple[Toleration, ...] = ()
    """Taints that are ignored, each as key, key=value or key=value:effect."""
    ttl: NonNegativeInt | None = None
    """Seconds after which the finished job is removed."""
    deadline: PositiveInt | None = None
    """Seconds that the job may take; not for Volcano."""
    cache_gib: PositiveInt = 50
    """Disk of a pod for what it reads from the store."""
    suspend: bool = False
    """Put the job there without starting it; not with a queue, not for Volcano."""
    labels: Mapping[LabelKey, LabelValue] = {}
    """Of the job and its pods, besides ours; the controller's alone."""
