"""Which pods are a job's, whatever labels others have put on theirs."""

import json
from pathlib import Path

import pytest

from fastgen_k8s.kube.api import Api
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.cluster import GROUP
from fastgen_k8s.launch.jobs import ClusterJobs
from fastgen_k8s.launch.jobset import JOBSET
from fastgen_k8s.launch.outcome import owns
from tests.launch.rendered import rendered
from tests.scripted_api import Answer, Asked, kubeconfig, scripted

LABELS = {
    f"{GROUP}/job": "kd",
    "app.kubernetes.io/component": "trainer",
    "jobset.sigs.k8s.io/job-index": "1",
    "jobset.sigs.k8s.io/jobset-uid": "u",
}
JOB = {"apiVersion": "batch/v1", "kind": "Job", "name": "kd-trainer-1", "uid": "j", "controller": True}
VOLCANO_JOB = {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "name": "kd", "uid": "u", "controller": True}


def pod(owner: Object | None, labels: Object = LABELS) -> Object:
    owners = {} if owner is None else {"ownerReferences": [owner]}
    return {"metadata": {"name": "p", "labels": labels, "creationTimestamp": "1", **owners}}


@pytest.mark.parametrize(
    ("found", "ours"),
    [
        (pod(JOB), True),
        (pod(VOLCANO_JOB), True),
        (pod(None), False),
        (pod(None, {}), False),
        (pod(JOB | {"controller": False}), False),
        (pod(JOB | {"name": "other-trainer-1"}), False),
        (pod(JOB | {"name": "kd-trainer-0"}), False),
        (pod(JOB | {"kind": "ReplicaSet"}), False),
        (pod(JOB | {"apiVersion": "apps/v1"}), False),
        (pod(JOB, {**LABELS, "jobset.sigs.k8s.io/jobset-uid": "another"}), False),
        (pod(JOB, {**LABELS, "jobset.sigs.k8s.io/job-index": "one"}), False),
        (pod(JOB, {f"{GROUP}/job": "kd"}), False),
        (pod(VOLCANO_JOB | {"uid": "another"}), False),
        (pod(VOLCANO_JOB | {"name": "other"}), False),
        (pod(VOLCANO_JOB, {f"{GROUP}/job": "kd"}), False),
    ],
)
def test_a_pod_belongs_to_the_job_that_made_it(found: Object, ours: bool) -> None:
    assert owns("kd", found, "u") is ours


def test_the_pods_of_a_job_that_is_gone_are_known_by_its_name() -> None:
    assert owns("kd", pod(JOB))
    assert not owns("kd", pod(None))


def test_the_jobs_that_a_jobset_makes_are_named_after_the_role_that_their_pods_say() -> None:
    for one in rendered("jobset", nodes="1:2")["spec"]["replicatedJobs"]:
        labels = one["template"]["spec"]["template"]["metadata"]["labels"]
        assert one["name"] == labels["app.kubernetes.io/component"]


def test_people_see_and_wait_for_a_jobs_own_pods_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(asked: Asked) -> Answer:
        assert asked.query == {"labelSelector": f"{GROUP}/job=kd"}
        return Answer(body={"items": [pod(None), pod(JOB)]})

    with scripted(answer, tmp_path) as server:
        file = tmp_path / "people"
        file.write_text(json.dumps(kubeconfig(server.url)))
        monkeypatch.setenv("KUBECONFIG", str(file))
        assert ClusterJobs(Api(), JOBSET).pods("n", "kd") == [pod(JOB)]
