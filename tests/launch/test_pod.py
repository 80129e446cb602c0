"""What a pod may, where it runs and what it is told: the same on both backends."""

from typing import Any

import pytest

from fastgen_k8s.launch.cluster import Cluster
from fastgen_k8s.launch.launch import Launch
from fastgen_k8s.pipeline.argv import parse
from fastgen_k8s.pipeline.work import Execution, Placement
from tests.launch.rendered import BACKENDS, TRAIN, as_the_kubelet_reads, container, environment, pods, rendered

pytestmark = pytest.mark.parametrize("backend", BACKENDS)


@pytest.mark.parametrize("role", ["trainer", "rendezvous"])
def test_a_pod_is_restricted(backend: str, role: str) -> None:
    found = rendered(backend, nodes="2")
    spec, mine = pods(found)[role]["spec"], container(found, role)["securityContext"]
    assert (spec["automountServiceAccountToken"], spec["securityContext"]["runAsNonRoot"]) == (False, True)
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert (mine["allowPrivilegeEscalation"], mine["readOnlyRootFilesystem"]) == (False, True)
    assert mine["capabilities"] == {"drop": ["ALL"]}
    assert {next(iter(set(volume) - {"name"})) for volume in spec["volumes"]} == {"emptyDir"}


def test_the_kubelet_waits_longer_than_the_agent(backend: str) -> None:
    found = rendered(backend, grace=120)
    waits = int(environment(found)["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"])
    assert (waits, pods(found)["trainer"]["spec"]["terminationGracePeriodSeconds"]) == (120, 130)


def test_shared_memory_is_sized(backend: str) -> None:
    spec = pods(rendered(backend, resource="h100_8"))["trainer"]["spec"]
    [shm] = [volume for volume in spec["volumes"] if volume["name"] == "shm"]
    assert shm["emptyDir"] == {"medium": "Memory", "sizeLimit": "16384Mi"}


def test_devices_are_asked_for_with_the_toleration_of_their_nodes(backend: str) -> None:
    found = rendered(backend, resource="h100_8", processes=1)
    assert container(found)["resources"]["limits"]["nvidia.com/gpu"] == "8"
    toleration = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    assert toleration in pods(found)["trainer"]["spec"]["tolerations"]


def test_a_pool_is_a_label_of_nodes_and_their_taint(backend: str) -> None:
    spec = pods(rendered(backend, pool="spot"))["trainer"]["spec"]
    assert spec["nodeSelector"] == {"fastgen-k8s.github.io/pool": "spot"}
    assert {"key": "fastgen-k8s.github.io/pool", "operator": "Equal", "value": "spot"} in spec["tolerations"]


@pytest.mark.parametrize(
    ("given", "where", "wanted"),
    [
        ({"priority_class": "high"}, "priorityClassName", "high"),
        ({"service_account": "sa"}, "serviceAccountName", "sa"),
        ({"pull_secrets": ["one"]}, "imagePullSecrets", [{"name": "one"}]),
        ({"node_selector": {"a": "b"}}, "nodeSelector", {"a": "b"}),
    ],
)
@pytest.mark.parametrize("role", ["trainer", "rendezvous"])
def test_what_the_cluster_offers_reaches_the_pod(
    backend: str, role: str, given: dict[str, Any], where: str, wanted: object
) -> None:
    assert pods(rendered(backend, cluster=given, nodes="2"))[role]["spec"][where] == wanted


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"key": "a"}, {"key": "a", "operator": "Exists"}),
        ({"key": "a", "value": "b"}, {"key": "a", "operator": "Equal", "value": "b"}),
        ({"key": "a", "effect": "NoSchedule"}, {"key": "a", "operator": "Exists", "effect": "NoSchedule"}),
    ],
)
def test_a_toleration_reaches_the_pod(backend: str, given: dict[str, str], wanted: dict[str, str]) -> None:
    assert wanted in pods(rendered(backend, cluster={"tolerations": [given]}))["trainer"]["spec"]["tolerations"]


def test_configuration_and_secrets_are_named_and_not_copied(backend: str) -> None:
    found = container(rendered(backend, cluster={"config_maps": ["where"], "secrets": ["keys"]}))
    assert found["envFrom"] == [
        {"configMapRef": {"name": "where", "optional": True}},
        {"secretRef": {"name": "keys", "optional": True}},
    ]


DOLLARS = ["$", "$$", "costs $$5", "$(HOME)", "$$(HOME)", "$$$(HOME)", "$(HOME", "$HOME", "${app_id}", "$${app_id}"]


@pytest.mark.parametrize("words", DOLLARS)
def test_a_pod_is_told_the_words_as_they_were_given(backend: str, words: str) -> None:
    places = {"inputs": {"pairs": "s3://bucket/$(HOME)"}, "output": "s3://bucket/a$$b"}
    odd = TRAIN.model_copy(update={"overrides": (f"report.title={words}",), **places})
    found = rendered(backend, odd, nodes="2")
    told = [container(found, role)["command"] for role in pods(found)]
    got = [[as_the_kubelet_reads(word, {"HOME": "/tmp"}) for word in command] for command in told]
    works = [parse(command[command.index("--kind") :])[0] for command in got if "--kind" in command]
    assert works == [odd] * {"jobset": 1, "volcano": 2}[backend]  # there, the rendezvous waits for the work's end


@pytest.mark.parametrize("words", DOLLARS)
def test_a_variable_s_value_reaches_a_pod_as_it_was_given(backend: str, words: str) -> None:
    launch = Launch(TRAIN, Placement(), Execution(), "trainer:1", variables={"GIVEN": words})
    found = environment(BACKENDS[backend].render(launch, Cluster()))
    assert as_the_kubelet_reads(found["GIVEN"], found) == words


@pytest.mark.parametrize("image", ["trainer:1", "host:5000/trainer:1", "trainer@sha256:" + "0" * 64])
def test_an_image_with_a_tag_or_digest_is_taken(backend: str, image: str) -> None:
    assert container(rendered(backend, image=image))["image"] == image


def test_a_launch_that_knows_an_address_of_its_own_gets_the_pods(backend: str) -> None:
    launch = Launch(TRAIN, Placement(), Execution(), "trainer:1", variables={"PET_LOCAL_ADDR": "10.0.0.1"})
    told = container(BACKENDS[backend].render(launch, Cluster()))["env"]
    [address] = [one for one in told if one["name"] == "PET_LOCAL_ADDR"]
    assert address["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}
