"""A work as a JobSet: who meets where, what each exit code does, and what a pod may."""

from typing import Any, cast

import pytest

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.launch.app import app
from fastgen_k8s.launch.cluster import Cluster
from fastgen_k8s.launch.jobset import jobset
from fastgen_k8s.pipeline.argv import parse
from fastgen_k8s.pipeline.work import Execution, Kind, Placement, Work

TRAIN = Work(
    kind="train",
    experiment="closed_form/gaussian_kd",
    inputs={"pairs": "s3://bucket/pairs"},
    output="s3://bucket/out",
)


def rendered(
    work: Work = TRAIN, image: str = "fastgen-k8s/trainer:1", cluster: dict[str, Any] | None = None, **placement: Any
) -> dict[str, Any]:
    application = app(work, Placement.parse(placement, "test"), Execution(), image)
    return cast("dict[str, Any]", jobset(application, Cluster.parse(cluster or {}, "test")))


def jobs(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in found["spec"]["replicatedJobs"]}


def pod(found: dict[str, Any], role: str = "trainer") -> dict[str, Any]:
    return jobs(found)[role]["template"]["spec"]["template"]


def container(found: dict[str, Any], role: str = "trainer") -> dict[str, Any]:
    [only] = pod(found, role)["spec"]["containers"]
    return only


def environment(found: dict[str, Any], role: str = "trainer") -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in container(found, role)["env"]}


def work(kind: Kind) -> Work:
    return TRAIN.model_copy(update={"kind": kind, "inputs": {}})


def test_there_is_one_job_a_trainer_and_the_first_success_ends_the_set() -> None:
    found = rendered(nodes="1:3")
    assert [(one["name"], one["replicas"]) for one in jobs(found).values()] == [("rendezvous", 1), ("trainer", 3)]
    assert {one["template"]["spec"]["parallelism"] for one in jobs(found).values()} == {1}
    assert found["spec"]["successPolicy"] == {"operator": "Any", "targetReplicatedJobs": ["trainer"]}


@pytest.mark.parametrize(
    ("kind", "nodes", "meet"), [("train", "2", True), ("train", "1", False), ("pairs", "3", False)]
)
def test_only_those_who_train_together_need_a_place_to_meet(kind: Kind, nodes: str, meet: bool) -> None:
    found = rendered(work(kind), nodes=nodes)
    assert ("rendezvous" in jobs(found)) == meet
    assert ("PET_RDZV_ENDPOINT" in environment(found)) == meet


def test_trainers_find_the_rendezvous_by_its_name_and_never_host_it() -> None:
    found = rendered(nodes="1:2", cluster={"job": "kd"})
    assert environment(found)["PET_RDZV_ENDPOINT"] == "kd-rendezvous-0-0.kd:29400"
    assert environment(found)["PET_RDZV_CONF"] == "is_host=false"
    assert container(found, "rendezvous")["command"][1:] == ["-m", "fastgen_k8s.rendezvous", "--port", "29400"]


@pytest.mark.parametrize(
    ("code", "action"), [(64, "FailJob"), (65, "FailJob"), (70, "FailJob"), (71, "FailJob"), (75, "Ignore"), (1, None)]
)
@pytest.mark.parametrize("role", ["trainer", "rendezvous"])
def test_an_exit_code_decides_what_follows(role: str, code: int, action: str | None) -> None:
    rules = jobs(rendered(nodes="2"))[role]["template"]["spec"]["podFailurePolicy"]["rules"]
    by_code = [rule["action"] for rule in rules if code in rule.get("onExitCodes", {}).get("values", ())]
    assert by_code == ([] if action is None else [action])


def test_a_disruption_is_not_counted() -> None:
    *_, last = jobs(rendered())["trainer"]["template"]["spec"]["podFailurePolicy"]["rules"]
    assert last == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


@pytest.mark.parametrize("role", ["trainer", "rendezvous"])
def test_a_pod_is_restricted(role: str) -> None:
    found = rendered(nodes="2")
    spec, mine = pod(found, role)["spec"], container(found, role)["securityContext"]
    assert (spec["automountServiceAccountToken"], spec["securityContext"]["runAsNonRoot"]) == (False, True)
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert (mine["allowPrivilegeEscalation"], mine["readOnlyRootFilesystem"]) == (False, True)
    assert mine["capabilities"] == {"drop": ["ALL"]}
    assert {next(iter(set(volume) - {"name"})) for volume in spec["volumes"]} == {"emptyDir"}


def test_the_kubelet_waits_longer_than_the_agent() -> None:
    found = rendered(grace=120)
    waits = int(environment(found)["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"])
    assert (waits, pod(found)["spec"]["terminationGracePeriodSeconds"]) == (120, 130)


def test_shared_memory_is_sized() -> None:
    [shm] = [volume for volume in pod(rendered(resource="h100_8"))["spec"]["volumes"] if volume["name"] == "shm"]
    assert shm["emptyDir"] == {"medium": "Memory", "sizeLimit": "16384Mi"}


def test_devices_are_asked_for_with_the_toleration_of_their_nodes() -> None:
    found = rendered(resource="h100_8", processes=1)
    assert container(found)["resources"]["limits"]["nvidia.com/gpu"] == "8"
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod(found)["spec"]["tolerations"]


def test_a_pool_is_a_label_of_nodes_and_their_taint() -> None:
    spec = pod(rendered(pool="spot"))["spec"]
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
def test_what_the_cluster_offers_reaches_the_pod(given: dict[str, Any], where: str, wanted: object) -> None:
    assert pod(rendered(cluster=given))["spec"][where] == wanted


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"key": "a"}, {"key": "a", "operator": "Exists"}),
        ({"key": "a", "value": "b"}, {"key": "a", "operator": "Equal", "value": "b"}),
        ({"key": "a", "effect": "NoSchedule"}, {"key": "a", "operator": "Exists", "effect": "NoSchedule"}),
    ],
)
def test_a_toleration_reaches_the_pod(given: dict[str, str], wanted: dict[str, str]) -> None:
    assert wanted in pod(rendered(cluster={"tolerations": [given]}))["spec"]["tolerations"]


def test_configuration_and_secrets_are_named_and_not_copied() -> None:
    found = container(rendered(cluster={"config_maps": ["where"], "secrets": ["keys"]}))
    assert found["envFrom"] == [
        {"configMapRef": {"name": "where", "optional": True}},
        {"secretRef": {"name": "keys", "optional": True}},
    ]


def test_a_queue_is_a_label_of_the_set() -> None:
    labels = rendered(cluster={"queue": "training", "queue_priority": "high"})["metadata"]["labels"]
    assert labels["kueue.x-k8s.io/queue-name"] == "training"
    assert labels["kueue.x-k8s.io/priority-class"] == "high"


def test_a_job_may_be_suspended_removed_and_limited_in_time() -> None:
    spec = rendered(cluster={"suspend": True, "ttl": 0, "deadline": 9})["spec"]
    assert (spec["suspend"], spec["ttlSecondsAfterFinished"]) == (True, 0)
    assert spec["replicatedJobs"][0]["template"]["spec"]["activeDeadlineSeconds"] == 9


def test_the_kubelet_expands_nothing_in_what_the_agent_is_told() -> None:
    odd = TRAIN.model_copy(update={"inputs": {"pairs": "s3://bucket/$(HOME)"}})
    command = container(rendered(odd))["command"]
    assert parse([word.replace("$$(", "$(") for word in command[3:]])[0] == odd
    assert not [word for word in command if "$(" in word.replace("$$(", "")]


def test_a_name_is_a_function_of_the_work_and_leaves_room_for_its_pods() -> None:
    names = {rendered(work(kind))["metadata"]["name"] for kind in ("train", "pairs", "bridge")}
    elsewhere = rendered(TRAIN.model_copy(update={"output": "s3://bucket/other"}))["metadata"]["name"]
    assert len({*names, elsewhere}) == 4
    assert max(len(f"{name}-rendezvous-0-0-abcde") for name in names) <= 63
    assert rendered()["metadata"]["name"] == rendered()["metadata"]["name"]


@pytest.mark.parametrize(
    ("placement", "cluster", "said"),
    [
        ({"nodes": "3:1"}, {}, "wanted min:max nodes, found min 3 above max 1"),
        ({"nodes": "0"}, {}, "nodes: string should match pattern"),
        ({"processes": 0}, {}, "processes: input should be greater than 0"),
        ({"micro_batch": 0}, {}, "micro_batch: input should be greater than 0"),
        ({"grace": -1}, {}, "grace: input should be greater than 0"),
        ({"resource": "h100_9"}, {}, "unknown resource 'h100_9': did you mean 'h100_8'"),
        ({"resource": "l40s_1", "processes": 2}, {}, "wanted at most 1 processes on a node of resource 'l40s_1'"),
        ({"pool": "Big Pool"}, {}, "pool: string should match pattern"),
        ({"nodes": "999"}, {}, "wanted at most train.global_batch"),
        ({}, {"job": "a" * 43}, "job: string should have at most 42 characters"),
        ({}, {"job": "1st"}, "job: string should match pattern"),
        ({}, {"job": "a.b"}, "job: string should match pattern"),
        ({}, {"namespace": "Big"}, "namespace: string should match pattern"),
        ({}, {"queue": "a_b"}, "queue: string should match pattern"),
        ({}, {"ttl": -1}, "ttl: input should be greater than or equal to 0"),
        ({}, {"deadline": 0}, "deadline: input should be greater than 0"),
        ({}, {"cache_gib": 0}, "cache_gib: input should be greater than 0"),
        ({}, {"tolerations": [{"key": "a", "effect": "Never"}]}, "tolerations.0.effect: input should be"),
        ({}, {"service_account": ""}, "service_account: string should match pattern"),
        ({}, {"secrets": ["A"]}, "secrets.0: string should match pattern"),
        ({}, {"node_selector": {"a b": "c"}}, "node_selector.a b"),
        ({}, {"labels": {"a": "b c"}}, "labels.a"),
        ({}, {"quue": "a"}, "unknown setting 'quue': did you mean 'queue'"),
    ],
)
def test_a_bad_placement_is_refused_in_one_line(placement: dict[str, Any], cluster: dict[str, Any], said: str) -> None:
    with pytest.raises(Misdescribed) as refused:
        rendered(cluster=cluster, **placement)
    assert said in str(refused.value)


@pytest.mark.parametrize("image", ["trainer", "trainer:latest", "host:5000/trainer", "host:5000/a/trainer:latest"])
def test_an_image_that_may_change_under_its_name_is_refused(image: str) -> None:
    with pytest.raises(Misdescribed, match="image: wanted a tag of its own"):
        rendered(image=image)


@pytest.mark.parametrize("image", ["trainer:1", "host:5000/trainer:1", "trainer@sha256:" + "0" * 64])
def test_an_image_with_a_tag_or_digest_is_taken(image: str) -> None:
    assert container(rendered(image=image))["image"] == image


@pytest.mark.parametrize("place", ["runs/pairs", "/data/pairs", "file:///data/pairs"])
@pytest.mark.parametrize("what", ["output", "pairs"])
def test_a_place_on_one_machine_is_refused(what: str, place: str) -> None:
    change = {"output": place} if what == "output" else {"inputs": {"pairs": place}}
    with pytest.raises(Misdescribed, match=f"{what}: wanted a place that every pod reaches .*, found '{place}'"):
        rendered(TRAIN.model_copy(update=change))
