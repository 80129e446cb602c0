"""What a node offers, by name: the `resource` of a placement."""
# pyright: reportMissingTypeStubs=false

from collections.abc import Mapping

from torchx.specs import Resource

from fastgen_k8s.config import nearest
from fastgen_k8s.errors import Misdescribed

GIB = 1024  # MB, as TorchX counts memory

RESOURCES: Mapping[str, Resource] = {
    "cpu_tiny": Resource(cpu=1, gpu=0, memMB=2 * GIB),
    "cpu_small": Resource(cpu=2, gpu=0, memMB=4 * GIB),
    "cpu_large": Resource(cpu=30, gpu=0, memMB=110 * GIB),
    "l40s_1": Resource(cpu=8, gpu=1, memMB=60 * GIB),
    "a100_8": Resource(cpu=90, gpu=8, memMB=1000 * GIB),
    "h100_8": Resource(cpu=180, gpu=8, memMB=1700 * GIB),
}
DEFAULT = "cpu_small"


def resource(name: str | None) -> Resource:
    """The resource of that name, the smallest for none; Misdescribed with the nearest name otherwise."""
    if name is not None and name not in RESOURCES:
        raise Misdescribed(f"unknown resource {name!r}: {nearest(name, RESOURCES)}")
    return RESOURCES[name or DEFAULT]
