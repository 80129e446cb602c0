"""An application read back: its work, how many pods it has, and whether a pod on another machine could do it."""
# pyright: reportMissingTypeStubs=false

from collections.abc import Mapping
from functools import lru_cache
from string import Template
from typing import cast

from torchx.specs import AppDef, Role, VolumeMount

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.launch.app import PLACED
from fastgen_k8s.launch.cluster import GROUP
from fastgen_k8s.launch.command import AGENT
from fastgen_k8s.pipeline.argv import parse
from fastgen_k8s.pipeline.work import KINDS, Work

_SHIPPED = "examples/"  # below the image's working directory


def role_of(app: AppDef) -> Role:
    """Its only role; Misdescribed when this is no stage of ours."""
    roles = [role for role in app.roles if role.args[:2] == ["-m", AGENT] and PLACED in role.metadata]
    if len(roles) != 1 or len(app.roles) != 1:
        raise Misdescribed(f"wanted a stage (components/*.py), found the application {app.name!r}")
    return roles[0]


def placed(role: Role) -> Mapping[str, str]:
    """Those parts of the placement that a cluster's objects are made of: `grace`, and `pool` where there is one."""
    return cast("Mapping[str, str]", role.metadata[PLACED])


def work_argv(app: AppDef) -> list[str]:
    """What an application's agents are told."""
    return [as_read(word) for word in role_of(app).args[2:]]


def as_read(word: str, **macros: str) -> str:
    """A word of an application as TorchX's schedulers read it: a macro is what it stands for, `$$` is a dollar."""
    return Template(word).safe_substitute(macros)


def work_of(app: AppDef) -> Work:
    """The work that an application does, read back from its arguments."""
    return _work(tuple(work_argv(app)))


@lru_cache(maxsize=64)  # a rendering asks for it again and again
def _work(argv: tuple[str, ...]) -> Work:
    return parse(argv)[0]


def trainers(app: AppDef) -> int:
    """How many pods work at most."""
    return role_of(app).num_replicas


def fewest_trainers(app: AppDef) -> int:
    """How many pods can do the work."""
    role = role_of(app)
    return role.num_replicas if role.min_replicas is None else role.min_replicas


def meets(app: AppDef) -> bool:
    """Whether the pods work together in one process group, and need a place to meet."""
    return trainers(app) > 1 and KINDS[work_of(app).kind].elastic


def check_shared(app: AppDef) -> None:
    """Raise Misdescribed for a place or an image that a pod on another machine could not reach."""
    role, work = role_of(app), work_of(app)
    mounts = [f"{mount.dst_path.rstrip('/')}/" for mount in role.mounts if isinstance(mount, VolumeMount)]
    if len(mounts) < len(role.mounts):
        raise Misdescribed("a pod mounts claims (type=volume) only: folders and devices of a node are not `restricted`")
    reached = {"output": mounts} | {name: [*mounts, _SHIPPED] for name in work.inputs}
    for name, place in {**work.inputs, "output": work.output}.items():
        remote = "://" in place and not place.startswith("file://")
        if not remote and not f"{place.removeprefix('file://')}/".startswith(tuple(reached[name]) or ("\0",)):
            raise Misdescribed(f"{name}: wanted a place that every pod reaches (s3://...), found {place!r}")
    check_image(role.image)


def check_image(image: str) -> None:
    """Raise Misdescribed for no image, and for one whose content may change under its name."""
    check_given(image)
    tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
    if "@sha256:" not in image and tag in ("", "latest"):
        raise Misdescribed(f"image: wanted a tag of its own (not latest) or a digest, found {image!r}")


def check_given(image: str) -> None:
    """Raise Misdescribed for no image."""
    if not image:
        raise Misdescribed("image: wanted what the job's containers run (--image, or FASTGEN_IMAGE), found none")


def labels(app: AppDef, job: str, component: str) -> dict[str, str]:
    """What pods and policies are selected by."""
    return {
        "app.kubernetes.io/name": "fastgen-k8s",
        "app.kubernetes.io/component": component,
        f"{GROUP}/job": job,
        f"{GROUP}/stage": work_of(app).kind,
    }
