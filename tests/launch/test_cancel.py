"""A JobSet is called cancelled when nobody will start it again, and not before."""

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastgen_k8s.errors import BadInput
from fastgen_k8s.kube.api import Api
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.jobs import ClusterJobs
from fastgen_k8s.launch.jobset import JOBSET
from fastgen_k8s.launch.outcome import CANCELLED
from tests.scripted_api import Answer, Asked, kubeconfig, scripted

QUEUED = {"kueue.x-k8s.io/queue-name": "training"}
CALLED = {"annotations": {CANCELLED: "true"}}


def jobset(labels: Object, *conditions: str, suspend: bool = False) -> Object:
    return {
        "metadata": {"name": "kd", "namespace": "n", "uid": "u", "labels": labels},
        "spec": {"suspend": suspend},
        "status": {"conditions": [{"type": one, "status": "True"} for one in conditions]},
    }


class Cluster:
    """A JobSet, and Kueue's Workload of it, which appears after some looks.

    When that is inactive Kueue suspends the JobSet, and the Workload holds its place for some more looks.
    """

    def __init__(self, found: Object, appears: int | None = 0, *, suspends: bool = True, held: int = 0) -> None:
        self.found, self.appears, self.suspends, self.held = found, appears, suspends, held
        self.patches: list[tuple[str, Object]] = []

    def __call__(self, asked: Asked) -> Answer:
        kind = asked.path.split("/")[6]
        if asked.verb == "PATCH":
            self.patches.append((kind, asked.body))
            if kind == "workloads":
                self.found["spec"]["suspend"] |= self.suspends
            return Answer(body={})
        if kind == "jobsets":
            return Answer(body=self.found)
        assert asked.query == {"labelSelector": "kueue.x-k8s.io/job-uid=u"}
        if self.appears is None:
            return Answer(404, {"message": "no such kind"})
        self.appears -= 1
        self.held -= bool(self.patches)
        reserved = {"type": "QuotaReserved", "status": "True" if self.held > 0 else "False"}
        workload = {"metadata": {"name": "jobset-kd"}, "status": {"conditions": [reserved]}}
        return Answer(body={"items": [workload] if self.appears < 0 else []})


@pytest.fixture
def cancel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Cluster], None]:
    """`torchx cancel` of the JobSet of a cluster, which waits half a second for Kueue."""
    monkeypatch.setattr("fastgen_k8s.launch.jobset.PATIENCE", 0.5)

    @contextmanager
    def reached(cluster: Cluster) -> Generator[None]:
        with scripted(cluster, tmp_path) as server:
            file = tmp_path / "people"
            file.write_text(json.dumps(kubeconfig(server.url)))
            monkeypatch.setenv("KUBECONFIG", str(file))
            yield

    def asked(cluster: Cluster) -> None:
        with reached(cluster):
            ClusterJobs(Api(), JOBSET).cancel("n", "kd")

    return asked


@pytest.mark.parametrize("held", [0, 2])
@pytest.mark.parametrize("appears", [0, 2])
@pytest.mark.parametrize("suspend", [True, False])
def test_a_queued_job_is_kueues_to_suspend(
    cancel: Callable[[Cluster], None], held: int, appears: int, suspend: bool
) -> None:
    cluster = Cluster(jobset(QUEUED, suspend=suspend), appears, held=held)
    cancel(cluster)
    assert cluster.held <= 0
    assert cluster.patches == [("workloads", {"spec": {"active": False}}), ("jobsets", {"metadata": CALLED})]


@pytest.mark.parametrize("cluster", [Cluster(jobset({})), Cluster(jobset(QUEUED), None)], ids=["no queue", "no Kueue"])
def test_a_job_that_nobody_else_suspends_is_suspended(cancel: Callable[[Cluster], None], cluster: Cluster) -> None:
    cancel(cluster)
    assert cluster.patches == [("jobsets", {"metadata": CALLED, "spec": {"suspend": True}})]


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        (
            Cluster(jobset(QUEUED), 10**6),
            r"n/kd: wanted a Workload, .* found none after 0\.5 s: nothing was cancelled",
        ),
        (
            Cluster(jobset(QUEUED), suspends=False),
            r"wanted it suspended by Kueue, found it running or about to after 0\.5 s",
        ),
        # Seen of Kueue 0.17: a Workload that is admitted as it is made inactive has its JobSet started for a moment.
        (Cluster(jobset(QUEUED, suspend=True), held=10**6), r"found it running or about to after 0\.5 s"),
    ],
    ids=["no Workload comes", "it runs on", "its place is held"],
)
def test_what_kueue_may_start_again_is_not_called_cancelled(
    cancel: Callable[[Cluster], None], cluster: Cluster, said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        cancel(cluster)
    assert [kind for kind, _ in cluster.patches if kind == "jobsets"] == []


@pytest.mark.parametrize("condition", ["Completed", "Failed"])
def test_a_job_that_is_over_stays_what_it_is(cancel: Callable[[Cluster], None], condition: str) -> None:
    cluster = Cluster(jobset(QUEUED, condition))
    cancel(cluster)
    assert cluster.patches == []
