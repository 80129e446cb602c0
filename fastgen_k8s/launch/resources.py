"""What a node offers, by name: the `resource` of a placement."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastgen_k8s.config import nearest
from fastgen_k8s.errors import Misdescribed

GIB = 1024  # MiB


@dataclass(frozen=True)
class Resource:
    """The part of a node that an agent has to itself."""

    cpu: int  # cores
    gpu: int
    memory: int  # MiB
    devices: Mapping[str, int] = field(default_factory=dict[str, int])  # others than GPUs, by their names in a cluster


RESOURCES: Mapping[str, Resource] = {
    "cpu_tiny": Resource(cpu=1, gpu=0, memory=2 * GIB),
    "cpu_small": Resource(cpu=2, gpu=0, memory=4 * GIB),
    "cpu_large": Resource(cpu=30, gpu=0, memory=110 * GIB),
    "l40s_1": Resource(cpu=8, gpu=1, memory=60 * GIB),
    "a100_8": Resource(cpu=90, gpu=8, memory=1000 * GIB),
    "h100_8": Resource(cpu=180, gpu=8, memory=1700 * GIB),
}
DEFAULT = "cpu_small"


def resource(name: str | None) -> Resource:
    """The resource of that name, the smallest for none; Misdescribed with the nearest name otherwise."""
    if name is not None and name not in RESOURCES:
        raise Misdescribed(f"unknown resource {name!r}: {nearest(name, RESOURCES)}")
    return RESOURCES[name or DEFAULT]
