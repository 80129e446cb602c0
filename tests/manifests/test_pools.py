"""Node pools, queues, quotas and pipelines speak of the same pools and resources."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from fastgen_k8s.launch.resources import RESOURCES, resource
from fastgen_k8s.pipeline.spec import Pipeline, read_pipeline
from fastgen_k8s.pipeline.work import check_processes, check_world
from tests.manifests.jobs import job, templates
from tests.manifests.render import MANIFESTS, OVERLAYS, Object, render

POOL = "fastgen-k8s.github.io/pool"
POOLS = {"training", "spot", "cpu"}
PIPELINES: Mapping[str, Pipeline] = {
    file.stem: read_pipeline(file).spec for file in sorted((MANIFESTS / "pipelines").glob("*.yaml"))
}


def of_kind(folder: str, kind: str) -> dict[str, Object]:
    return {made["metadata"]["name"]: made for made in render(folder) if made["kind"] == kind}


KARPENTER = of_kind("nodepools/karpenter", "NodePool")
KUEUE = of_kind("components/kueue", "ClusterQueue")["fastgen"]["spec"]


def labels_of_pools() -> dict[str, set[str]]:
    """The values of the pool's label that each kind of provisioner and the queues give."""
    classes = of_kind("nodepools/gke", "ComputeClass").values()
    flavors = of_kind("components/kueue", "ResourceFlavor").values()
    return {
        "karpenter": {made["spec"]["template"]["metadata"]["labels"][POOL] for made in KARPENTER.values()},
        "gke": {made["spec"]["nodePoolConfig"]["nodeLabels"][POOL] for made in classes},
        "gke, by name": {made["metadata"]["name"] for made in classes},
        "kueue": {made["spec"]["nodeLabels"][POOL] for made in flavors},
    }


def test_everyone_has_the_same_pools() -> None:
    assert labels_of_pools() == dict.fromkeys(labels_of_pools(), POOLS)


def test_flavors_share_one_label_since_a_jobset_keeps_what_an_earlier_flavor_asked_for() -> None:
    flavors = of_kind("components/kueue", "ResourceFlavor").values()
    assert [[*made["spec"]["nodeLabels"]] for made in flavors] == [[POOL]] * len(POOLS)


def test_a_training_node_ends_only_when_it_is_empty() -> None:
    spec = KARPENTER["fastgen-training"]["spec"]
    held = [budget for budget in spec["disruption"]["budgets"] if budget["nodes"] == "0"]
    assert spec["template"]["spec"]["expireAfter"] == "Never"
    assert [set(budget["reasons"]) for budget in held] == [{"Drifted", "Underutilized"}]


@pytest.mark.parametrize("name", KARPENTER)
def test_no_node_is_packed_while_it_works(name: str) -> None:
    assert KARPENTER[name]["spec"]["disruption"]["consolidationPolicy"] == "WhenEmpty"


@pytest.mark.parametrize("name", KARPENTER)
def test_a_pool_has_a_limit_and_gpus_are_kept_for_those_who_need_them(name: str) -> None:
    spec = KARPENTER[name]["spec"]
    taints = {taint["key"] for taint in spec["template"]["spec"].get("taints", ())}
    assert spec["limits"]
    assert (taints == {"nvidia.com/gpu"}) == (name != "fastgen-cpu")


@pytest.mark.parametrize("name", RESOURCES)
def test_whatever_a_pod_asks_for_is_covered_by_the_queue(name: str) -> None:
    asked = {
        key
        for pod in templates(job(resource=name)).values()
        for one in cast("Sequence[dict[str, Any]]", pod["spec"]["containers"])
        for key in one["resources"]["requests"]
    }
    [group] = KUEUE["resourceGroups"]
    assert asked <= set(group["coveredResources"])


def test_a_queue_gives_a_share_of_each_covered_resource_in_each_flavor() -> None:
    [group] = KUEUE["resourceGroups"]
    shares = {flavor["name"]: [one["name"] for one in flavor["resources"]] for flavor in group["flavors"]}
    assert shares == {f"fastgen-{pool}": group["coveredResources"] for pool in POOLS}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_names_pools_queues_and_resources_that_there_are(name: str) -> None:
    pipeline = PIPELINES[name]
    queues = of_kind("components/kueue", "LocalQueue")
    assert {stage.placement.pool for stage in pipeline.stages} <= POOLS | {None}
    assert {pipeline.queue} <= {*queues, None}
    for stage in pipeline.stages:
        check_world(stage.work("s3://bucket/out", {}), stage.placement)
        check_processes(stage.placement, resource(stage.placement.resource).gpu)


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_goes_where_the_store_inside_the_cluster_has_a_bucket(name: str) -> None:
    bucket = of_kind("overlays/kind", "ConfigMap")["fastgen-storage"]["data"]["FASTGEN_ROOT"]
    assert (PIPELINES[name].root or "").startswith(f"{bucket}/")


@pytest.mark.parametrize("folder", OVERLAYS)
def test_the_storage_that_pods_refer_to_is_there(folder: str) -> None:
    assert {"AWS_REGION", "FASTGEN_ROOT"} <= of_kind(folder, "ConfigMap")["fastgen-storage"]["data"].keys()


def test_only_the_toy_cluster_has_a_key_in_a_file() -> None:
    assert [folder for folder in OVERLAYS if of_kind(folder, "Secret")] == ["overlays/kind"]
