"""A work and its placement as a TorchX application."""
# pyright: reportMissingTypeStubs=false

from torchx.specs import AppDef, Role

from fastgen_k8s.launch.command import AGENT, argv, environment, name
from fastgen_k8s.launch.resources import resource
from fastgen_k8s.pipeline.work import Execution, Placement, Work, check_world

ROLE = "agent"
IMAGE = "fastgen-k8s:latest"


def app(work: Work, placement: Placement, execution: Execution, image: str = IMAGE) -> AppDef:
    """One agent a node, told everything by its arguments; Misdescribed when the work cannot be split so far."""
    check_world(work, placement)
    role = Role(
        name=ROLE,
        image=image,
        entrypoint="python",
        args=["-m", AGENT, *argv(work, placement, execution)],
        env=environment(work, placement),
        num_replicas=placement.max_nodes,
        min_replicas=None if placement.min_nodes == placement.max_nodes else placement.min_nodes,
        resource=resource(placement.resource),
    )
    return AppDef(name=name(work), roles=[role])
