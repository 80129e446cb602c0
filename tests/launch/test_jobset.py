"""A work as a JobSet: who meets where, and what each exit code does."""

from typing import Any

import pytest

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.pipeline.kinds import Kind
from tests.launch.rendered import TRAIN, container, environment, rendered, work


def jobset(*given: Any, **placement: Any) -> dict[str, Any]:
    return rendered("jobset", *given, **placement)


def jobs(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in found["spec"]["replicatedJobs"]}


def test_there_is_one_job_a_trainer_and_the_first_success_ends_the_set() -> None:
    found = jobset(nodes="1:3")
    assert [(one["name"], one["replicas"]) for one in jobs(found).values()] == [("rendezvous", 1), ("trainer", 3)]
    assert {one["template"]["spec"]["parallelism"] for one in jobs(found).values()} == {1}
    assert found["spec"]["successPolicy"] == {"operator": "Any", "targetReplicatedJobs": ["trainer"]}


@pytest.mark.parametrize(
    ("kind", "nodes", "meet"), [("train", "2", True), ("train", "1", False), ("pairs", "3", False)]
)
def test_only_those_who_train_together_need_a_place_to_meet(kind: Kind, nodes: str, meet: bool) -> None:
    found = jobset(work(kind), nodes=nodes)
    assert ("rendezvous" in jobs(found)) == meet
    assert ("PET_RDZV_ENDPOINT" in environment(found)) == meet


def test_trainers_find_the_rendezvous_by_its_name_and_never_host_it() -> None:
    found = jobset(nodes="1:2", cluster={"job": "kd"})
    assert environment(found)["PET_RDZV_ENDPOINT"] == "kd-rendezvous-0-0.kd:29400"
    assert environment(found)["PET_RDZV_CONF"] == "is_host=false"
    assert container(found, "rendezvous")["command"][1:] == ["-m", "fastgen_k8s.rendezvous", "--port", "29400"]


@pytest.mark.parametrize(
    ("code", "action"), [(64, "FailJob"), (65, "FailJob"), (70, "FailJob"), (71, "FailJob"), (75, "Ignore"), (1, None)]
)
@pytest.mark.parametrize("role", ["trainer", "rendezvous"])
def test_an_exit_code_decides_what_follows(role: str, code: int, action: str | None) -> None:
    rules = jobs(jobset(nodes="2"))[role]["template"]["spec"]["podFailurePolicy"]["rules"]
    by_code = [rule["action"] for rule in rules if code in rule.get("onExitCodes", {}).get("values", ())]
    assert by_code == ([] if action is None else [action])


def test_a_disruption_is_not_counted() -> None:
    *_, last = jobs(jobset())["trainer"]["template"]["spec"]["podFailurePolicy"]["rules"]
    assert last == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


def test_a_queue_is_a_label_of_the_set() -> None:
    labels = jobset(cluster={"queue": "training", "queue_priority": "high"})["metadata"]["labels"]
    assert labels["kueue.x-k8s.io/queue-name"] == "training"
    assert labels["kueue.x-k8s.io/priority-class"] == "high"


def test_a_job_that_waits_in_a_queue_is_not_for_others_to_suspend() -> None:
    with pytest.raises(Misdescribed, match="suspend: wanted none with the queue 'training', found true"):
        jobset(cluster={"queue": "training", "suspend": True})


def test_a_job_may_be_suspended_removed_and_limited_in_time() -> None:
    spec = jobset(cluster={"suspend": True, "ttl": 0, "deadline": 9})["spec"]
    assert (spec["suspend"], spec["ttlSecondsAfterFinished"]) == (True, 0)
    assert spec["replicatedJobs"][0]["template"]["spec"]["activeDeadlineSeconds"] == 9


def test_a_name_is_a_function_of_the_work_and_leaves_room_for_its_pods() -> None:
    names = {jobset(work(kind))["metadata"]["name"] for kind in ("train", "pairs", "bridge")}
    elsewhere = jobset(TRAIN.model_copy(update={"output": "s3://bucket/other"}))["metadata"]["name"]
    assert len({*names, elsewhere}) == 4
    assert max(len(f"{name}-rendezvous-0-0-abcde") for name in names) <= 63
    assert jobset()["metadata"]["name"] == jobset()["metadata"]["name"]
