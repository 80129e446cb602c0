"""A training job as the launcher renders it, for checks of the manifests around it."""

from collections.abc import Mapping
from typing import Any

from fastgen_k8s.launch.cluster import Cluster
from fastgen_k8s.launch.jobset import jobset
from fastgen_k8s.launch.launch import Launch
from fastgen_k8s.pipeline.work import Execution, Placement, Work

WORK = Work(
    kind="train",
    experiment="closed_form/gaussian_kd",
    inputs={"pairs": "s3://fastgen-artifacts/pairs"},
    output="s3://fastgen-artifacts/out",
)


def job(cluster: Mapping[str, Any] | None = None, **placement: Any) -> dict[str, Any]:
    """The JobSet `kd` of two trainers that meet."""
    placed = Placement.parse({"nodes": "2", **placement}, "test")
    there = Cluster.parse({"job": "kd", **(cluster or {})}, "test")
    return jobset(Launch(WORK, placed, Execution(), "fastgen-k8s/trainer:1"), there)


def templates(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The pod templates of a JobSet, by the name of the replicated job."""
    return {one["name"]: one["template"]["spec"]["template"] for one in found["spec"]["replicatedJobs"]}
