"""A launch as a TorchX application, and back: TorchX hands its schedulers what a component has made of it.

And how one of its `local_cwd` scheduler ended, whose status hides the agents' exit codes.
"""
# pyright: reportMissingTypeStubs=false

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import cast

from torchx import specs
from torchx.specs import AppDef, AppStatus, Role, VolumeMount

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.launch.cluster import Cluster
from fastgen_k8s.launch.launch import AGENT, Launch, VolumeClaim, escaped, job_name, name
from fastgen_k8s.launch.outcome import worst
from fastgen_k8s.launch.resources import Resource
from fastgen_k8s.pipeline.argv import parse
from fastgen_k8s.pipeline.work import Placement

ROLE = "trainer"
_PLACED = "fastgen-k8s"  # a role's metadata: the placement, of which TorchX has no words for everything


def app(launch: Launch) -> AppDef:
    """The application of a launch: one role, one replica a node."""
    placement, offered = launch.placement, launch.resource
    role = Role(
        name=ROLE,
        image=launch.image,
        entrypoint=launch.python,
        args=["-m", AGENT, *map(escaped, launch.argv)],
        env={name: escaped(value) for name, value in launch.environment.items()},
        num_replicas=placement.max_nodes,
        min_replicas=None if placement.min_nodes == placement.max_nodes else placement.min_nodes,
        resource=specs.Resource(offered.cpu, offered.gpu, offered.memory, devices=dict(offered.devices)),
        mounts=[VolumeMount(claim.name, claim.path, claim.read_only) for claim in launch.claims],
        metadata={_PLACED: placement.canonical()},
    )
    return AppDef(name=name(launch.work), roles=[role])


def launch_of(app: AppDef, cluster: Cluster) -> Launch:
    """What an application runs in a cluster, with whatever its component has put to it or changed.

    Misdescribed when this is no stage of ours, and for what a pod there may not mount.
    """
    role = _role_of(app)
    work, micro_batch, execution = parse([_as_read(word) for word in role.args[2:]])
    mine = f"{cluster.namespace}:{job_name(work, cluster.job)}"  # what TorchX's commands know it by
    nodes = f"{role.num_replicas if role.min_replicas is None else role.min_replicas}:{role.num_replicas}"
    placed = role.metadata[_PLACED] | {"nodes": nodes, "micro_batch": micro_batch}
    claims = [mount for mount in role.mounts if isinstance(mount, VolumeMount)]
    if len(claims) < len(role.mounts):
        raise Misdescribed("a pod mounts claims (type=volume) only: folders and devices of a node are not `restricted`")
    offered = role.resource
    return Launch(
        work,
        Placement.parse(placed, "application"),
        execution,
        role.image,
        role.entrypoint,
        Resource(offered.cpu, offered.gpu, int(offered.memMB), offered.devices),
        {name: _as_read(value, app_id=mine) for name, value in role.env.items()},
        tuple(VolumeClaim(mount.src, mount.dst_path, mount.read_only) for mount in claims),
    )


def _role_of(app: AppDef) -> Role:
    roles = [role for role in app.roles if role.args[:2] == ["-m", AGENT] and _PLACED in role.metadata]
    if len(roles) != 1 or len(app.roles) != 1:
        raise Misdescribed(f"wanted a stage (components/*.py), found the application {app.name!r}")
    return roles[0]


def _as_read(word: str, **macros: str) -> str:
    """A word of an application as TorchX's schedulers read it: a macro is what it stands for, `$$` is a dollar."""
    return Template(word).safe_substitute(macros)


def exit_code(status: AppStatus) -> tuple[int, Path]:
    """Exit code and log of a finished application; the scheduler writes both into a file beside its logs."""
    folder = Path((status.ui_url or "").removeprefix("file://"))  # a path as it is, with `#` and `%` in it
    summary = cast("Mapping[str, Mapping[str, list[dict[str, object]]]]", json.loads((folder / "SUCCESS").read_text()))
    replicas = summary["roles"][ROLE]
    code, chosen = worst([cast("int", replica["exitcode"]) for replica in replicas])
    return code, Path(str(replicas[chosen]["stderr"]))
