"""A work and its placement as a TorchX application."""
# pyright: reportMissingTypeStubs=false

from torchx.specs import AppDef, Role

from fastgen_k8s.launch.command import AGENT, argv, environment, escaped, name
from fastgen_k8s.launch.resources import resource
from fastgen_k8s.pipeline.work import Execution, Placement, Work, check_processes, check_world

ROLE = "trainer"
PLACED = "fastgen-k8s"
"""A role's metadata under this name: those parts of the placement that the objects of a cluster are made of."""


def app(work: Work, placement: Placement, execution: Execution, image: str = "") -> AppDef:
    """One agent a node, told everything by its arguments; Misdescribed when the work cannot be split so far.

    A local run has no containers and needs no image; whatever puts a job on a cluster asks for one.
    """
    check_world(work, placement)
    offered = resource(placement.resource)
    check_processes(placement, offered.gpu)
    role = Role(
        name=ROLE,
        image=image,
        entrypoint="python",
        args=["-m", AGENT, *map(escaped, argv(work, placement, execution))],
        env={name: escaped(value) for name, value in environment(work, placement).items()},
        num_replicas=placement.max_nodes,
        min_replicas=None if placement.min_nodes == placement.max_nodes else placement.min_nodes,
        resource=offered,
        metadata={PLACED: {"grace": str(placement.grace)} | ({"pool": placement.pool} if placement.pool else {})},
    )
    return AppDef(name=name(work), roles=[role])
