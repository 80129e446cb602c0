"""Every pod of ours would be admitted where `restricted` is enforced, and asks for what it uses."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.manifests.jobs import job, templates
from tests.manifests.render import OVERLAYS, render, said
from tests.manifests.restricted import Pod, containers, violations


def pods() -> dict[str, Pod]:
    """The pod specs of all workloads of the overlays and of a training job, by name."""
    rendered = {
        f"{folder}: {said(made)}": made["spec"]
        for folder in OVERLAYS
        for made in render(folder)
        if made["kind"] in {"Deployment", "StatefulSet", "DaemonSet", "Job"}
    }
    found: dict[str, Pod] = {name: spec["template"]["spec"] for name, spec in rendered.items()}
    return found | {f"job: {name}": template["spec"] for name, template in templates(job()).items()}


PODS = pods()
CONTROLLER = "Deployment/fastgen-controller"


@pytest.mark.parametrize("name", PODS)
def test_a_pod_is_restricted(name: str) -> None:
    assert violations(PODS[name]) == []


@pytest.mark.parametrize("name", PODS)
def test_a_pod_cannot_write_to_its_image(name: str) -> None:
    assert {one["securityContext"].get("readOnlyRootFilesystem") for one in containers(PODS[name])} == {True}


@pytest.mark.parametrize("name", PODS)
def test_no_pod_but_the_controller_has_a_token(name: str) -> None:
    spec = PODS[name]
    projected = [volume for volume in spec.get("volumes", ()) if "projected" in volume]
    assert (spec.get("automountServiceAccountToken"), projected) == (name.endswith(CONTROLLER), [])


@pytest.mark.parametrize("name", PODS)
def test_a_container_asks_for_cpu_and_memory_and_is_held_to_its_memory(name: str) -> None:
    for one in containers(PODS[name]):
        assert {"cpu", "memory"} <= one["resources"]["requests"].keys()
        assert "memory" in one["resources"]["limits"]


def gib(quantity: str) -> float:
    """GiB of a quantity as our manifests write it."""
    return int(quantity[:-2]) * {"Mi": 1 / 1024, "Gi": 1, "Ti": 1024}[quantity[-2:]]


def disks(spec: Pod) -> list[dict[str, str]]:
    """A pod's own volumes on its node's disk."""
    found = [volume["emptyDir"] for volume in spec.get("volumes", ()) if "emptyDir" in volume]
    return [one for one in found if one.get("medium") != "Memory"]


def disk(spec: Pod, what: str) -> float:
    """GiB of disk that the containers of a pod ask for, or may have."""
    return sum(gib(one["resources"][what]["ephemeral-storage"]) for one in containers(spec))


@pytest.mark.parametrize("name", PODS)
def test_a_pods_disk_has_a_limit_in_which_its_volumes_fit(name: str) -> None:
    volumes = sum(gib(one["sizeLimit"]) for one in disks(PODS[name]))
    assert 0 < disk(PODS[name], "requests") <= disk(PODS[name], "limits")
    assert volumes < disk(PODS[name], "limits")


@pytest.mark.parametrize("folder", OVERLAYS)
def test_the_quota_has_disk_for_as_many_trainers_as_it_has_pods(folder: str) -> None:
    [quota] = [made["spec"]["hard"] for made in render(folder) if made["kind"] == "ResourceQuota"]
    for what in ("requests", "limits"):
        assert gib(quota[f"{what}.ephemeral-storage"]) >= int(quota["pods"]) * disk(PODS["job: trainer"], what)


def test_a_container_that_says_nothing_of_its_disk_may_have_a_trainers() -> None:
    [limits] = [made["spec"]["limits"] for made in render("base") if made["kind"] == "LimitRange"]
    [given] = [one for one in limits if one["type"] == "Container"]
    assert gib(given["default"]["ephemeral-storage"]) == disk(PODS["job: trainer"], "limits")
    assert gib(given["defaultRequest"]["ephemeral-storage"]) > 0


@pytest.mark.parametrize("name", PODS)
def test_an_image_has_a_tag_of_its_own(name: str) -> None:
    tags = [one["image"].rpartition("/")[2].partition(":")[2] for one in containers(PODS[name])]
    assert [tag for tag in tags if tag in ("", "latest")] == []


def own(spec: Pod, **change: Any) -> None:
    spec["containers"][0]["securityContext"] |= change


BROKEN: dict[str, Callable[[Pod], object]] = {
    "host network": lambda spec: spec.update(hostNetwork=True),
    "host path": lambda spec: spec["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
    "root": lambda spec: spec["securityContext"].update(runAsUser=0),
    "perhaps root": lambda spec: spec["securityContext"].pop("runAsNonRoot"),
    "no seccomp": lambda spec: spec["securityContext"].pop("seccompProfile"),
    "privileged": lambda spec: own(spec, privileged=True),
    "escalation": lambda spec: own(spec, allowPrivilegeEscalation=True),
    "capabilities kept": lambda spec: own(spec, capabilities={}),
    "capabilities added": lambda spec: own(spec, capabilities={"drop": ["ALL"], "add": ["SYS_PTRACE"]}),
    "host port": lambda spec: spec["containers"][0].update(ports=[{"containerPort": 1, "hostPort": 1}]),
    "sysctl": lambda spec: spec["securityContext"].update(sysctls=[{"name": "kernel.msgmax", "value": "1"}]),
}


@pytest.mark.parametrize("case", BROKEN)
def test_the_check_of_pods_sees(case: str) -> None:
    spec = copy.deepcopy(PODS["job: trainer"])
    BROKEN[case](spec)
    assert len(violations(spec)) == 1
