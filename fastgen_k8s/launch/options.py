"""What `torchx run -cfg` takes for a cluster, the same for every backend."""
# pyright: reportMissingTypeStubs=false

from dataclasses import dataclass, field, fields

from torchx.schedulers.api import StructuredOpts

from fastgen_k8s.launch.cluster import Cluster

_DEFAULT = Cluster()


@dataclass
class Opts(StructuredOpts):
    """What `-cfg` takes; the same names and meanings as `Cluster` has."""

    namespace: str = _DEFAULT.namespace
    """Where the job goes."""

    job: str | None = None
    """Its name, at most 42 characters; none: made of the work."""

    queue: str | None = None
    """The queue that admits it: Kueue's LocalQueue, or Volcano's queue."""

    queue_priority: str | None = None
    """Kueue's WorkloadPriorityClass; not for Volcano."""

    priority_class: str | None = None
    """PriorityClass of the pods, and of a job of Volcano."""

    service_account: str = _DEFAULT.service_account
    """Whose workload identity the pods have; its token is not mounted."""

    pull_secrets: list[str] = field(default_factory=list)
    """Secrets of the image's registry."""

    config_maps: list[str] = field(default_factory=lambda: list(_DEFAULT.config_maps))
    """ConfigMaps that become environment variables, where they exist."""

    secrets: list[str] = field(default_factory=lambda: list(_DEFAULT.secrets))
    """Secrets that become environment variables, where they exist."""

    node_selector: dict[str, str] = field(default_factory=dict)
    """Labels that nodes must have."""

    tolerations: list[str] = field(default_factory=list)
    """Taints that are ignored, each as key, key=value or key=value:effect."""

    ttl: int | None = None
    """Seconds after which the finished job is removed."""

    deadline: int | None = None
    """Seconds that the job may take; not for Volcano."""

    cache_gib: int = _DEFAULT.cache_gib
    """Disk of a pod for what it reads from the store."""

    suspend: bool = False
    """Put the job there without starting it; not with a queue, not for Volcano."""

    def cluster(self) -> Cluster:
        """The checked value; Misdescribed for the first that is wrong."""
        given: dict[str, object] = {one.name: self[one.name] for one in fields(self) if not one.name.startswith("_")}
        given["tolerations"] = [_toleration(text) for text in self.tolerations or ()]
        defaults = _DEFAULT.model_dump()
        return Cluster.parse({name: defaults[name] if given[name] is None else given[name] for name in given}, "-cfg")


def _toleration(text: str) -> dict[str, str]:
    taint, _, effect = text.partition(":")
    key, _, value = taint.partition("=")
    return {name: word for name, word in {"key": key, "value": value, "effect": effect}.items() if word}
