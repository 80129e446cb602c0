"""Works as both backends render them, and where each keeps its pods."""

import re
from collections.abc import Mapping
from typing import Any

from fastgen_k8s.launch.cluster import Cluster
from fastgen_k8s.launch.jobs import Backend
from fastgen_k8s.launch.jobset import JOBSET
from fastgen_k8s.launch.launch import Launch
from fastgen_k8s.launch.volcano import VOLCANO
from fastgen_k8s.pipeline.kinds import Kind
from fastgen_k8s.pipeline.work import Execution, Placement, Work

BACKENDS: Mapping[str, Backend] = {"jobset": JOBSET, "volcano": VOLCANO}
TRAIN = Work(
    kind="train",
    experiment="closed_form/gaussian_kd",
    inputs={"pairs": "s3://bucket/pairs"},
    output="s3://bucket/out",
)


def work(kind: Kind) -> Work:
    """A work of a kind that reads nothing."""
    return TRAIN.model_copy(update={"kind": kind, "inputs": {}})


def rendered(
    backend: str,
    work: Work = TRAIN,
    image: str = "fastgen-k8s/trainer:1",
    cluster: dict[str, Any] | None = None,
    **placement: Any,
) -> dict[str, Any]:
    """The object that a backend puts into the cluster."""
    launch = Launch(work, Placement.parse(placement, "test"), Execution(), image)
    return BACKENDS[backend].render(launch, Cluster.parse(cluster or {}, "test"))


def pods(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The template of each role's pods."""
    if found["kind"] == "JobSet":
        return {one["name"]: one["template"]["spec"]["template"] for one in found["spec"]["replicatedJobs"]}
    return {one["name"]: one["template"] for one in found["spec"]["tasks"]}


def container(found: dict[str, Any], role: str = "trainer") -> dict[str, Any]:
    """The one container of a role's pods."""
    [only] = pods(found)[role]["spec"]["containers"]
    return only


def as_the_kubelet_reads(word: str, variables: Mapping[str, str]) -> str:
    """A word of a command, or a variable's value, as a container gets it: `$(NAME)` is a known variable, `$$` a `$`."""

    def meant(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else variables.get(found[1], found[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", meant, word)


def environment(found: dict[str, Any], role: str = "trainer") -> dict[str, str]:
    """What a role's pods are told by plain variables."""
    return {one["name"]: one.get("value", "") for one in container(found, role)["env"]}
