"""Which change of what the cluster holds wakes which pipeline, and how soon."""

from typing import Any

import pytest

from fastgen_k8s.controller.children import ATTEMPT, JOB, PIPELINE, STAGE, keep_pod
from fastgen_k8s.controller.view import KUEUE_JOB, ClusterView, Object
from fastgen_k8s.launch.cluster import GROUP
from fastgen_k8s.launch.jobset import JOBSET

OWNER = {"apiVersion": f"{GROUP}/v1alpha1", "uid": "u"}
PLACE = {"namespace": "n", "name": "p", "uid": "u", "generation": 1, "annotations": dict[str, str]()}
MADE = {"namespace": "n", "name": "j", "uid": "v", "labels": {PIPELINE: "p"}, "ownerReferences": [OWNER]}
AT_ONCE, GATHERED = 0.0, 0.1


def pipeline(status: str = "", **meta: Any) -> Object:
    return {"metadata": PLACE | meta, "spec": {}, "status": {"said": status}}


def job(status: str = "") -> Object:
    return {"metadata": MADE, "spec": {}, "status": {"said": status}}


@pytest.mark.parametrize(
    ("kind", "before", "after", "soon"),
    [
        ("pipeline", None, pipeline(), AT_ONCE),
        ("pipeline", pipeline(), pipeline(generation=2), AT_ONCE),
        ("pipeline", pipeline(), pipeline(annotations={"retry": "kd"}), AT_ONCE),
        ("pipeline", pipeline(), pipeline(deletionTimestamp="now"), AT_ONCE),
        ("pipeline", pipeline(), pipeline("written by ourselves"), GATHERED),
        ("job", None, job(), GATHERED),
        ("job", job(), job("completed"), AT_ONCE),
        ("job", job(), None, GATHERED),
    ],
)
def test_what_others_did_is_looked_at_at_once_and_what_we_did_is_gathered(
    kind: str, before: Object | None, after: Object | None, soon: float
) -> None:
    woken: list[tuple[tuple[str, str], float]] = []
    view = ClusterView(lambda key, seconds: woken.append((key, seconds)))
    tell = view.pipeline if kind == "pipeline" else view.job(JOBSET)
    tell(before, after)
    assert woken == [(("n", "p"), soon)]


def test_what_kueue_says_of_a_job_wakes_its_pipeline_while_the_job_is_there() -> None:
    woken: list[tuple[str, str]] = []
    view = ClusterView(lambda key, _: woken.append(key))
    workload: Object = {"metadata": {"namespace": "n", "name": "w", "labels": {KUEUE_JOB: MADE["uid"]}}, "status": {}}
    view.job(JOBSET)(None, job())
    woken.clear()
    view.workload(None, workload)
    assert woken == [("n", "p")]
    view.job(JOBSET)(job(), None)
    woken.clear()
    view.workload(workload, None)
    assert woken == []


LABELS = {
    JOB: "j",
    PIPELINE: "p",
    "app.kubernetes.io/component": "trainer",
    "jobset.sigs.k8s.io/job-index": "0",
    "jobset.sigs.k8s.io/jobset-uid": MADE["uid"],
}
MAKER = {"apiVersion": "batch/v1", "kind": "Job", "name": "j-trainer-0", "uid": "w", "controller": True}
ATTEMPTED = {
    "metadata": MADE
    | {"labels": {PIPELINE: "p", STAGE: "kd", ATTEMPT: "1"}, "creationTimestamp": "2026-01-02T03:04:05Z"},
    "spec": {},
    "status": {},
}


def pod(name: str, *owners: Object, **labels: str) -> Object:
    meta = {"namespace": "n", "name": name, "uid": name, "labels": LABELS | labels, "ownerReferences": list(owners)}
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    return keep_pod({"metadata": meta, "spec": {}, "status": ready})


def seen(job: Object, *pods: Object) -> ClusterView:
    view = ClusterView(lambda _key, _seconds: None)
    view.job(JOBSET)(None, job)
    for one in pods:
        view.pod(None, one)
    return view


def test_a_pod_that_only_says_that_it_is_a_jobs_is_none_of_it() -> None:
    view = seen(ATTEMPTED, pod("stray"), pod("own", MAKER), pod("other", MAKER | {"name": "k-trainer-0"}))
    [child] = view.children("u")
    assert ([one["metadata"]["name"] for one in child.pods], child.ready) == (["own"], 1)
    assert [one["metadata"]["name"] for one in view.pods("n", "j")] == ["own"]


@pytest.mark.parametrize("attempt", [None, "", "one", "-1", "1.5", "\N{SUPERSCRIPT TWO}"])
def test_a_job_that_says_no_attempt_is_none_and_stops_nothing(attempt: str | None) -> None:
    labels = {PIPELINE: "p", STAGE: "kd", **({} if attempt is None else {ATTEMPT: attempt})}
    stray = ATTEMPTED | {"metadata": ATTEMPTED["metadata"] | {"labels": labels, "uid": "stray", "name": "stray"}}
    view = seen(ATTEMPTED)
    view.job(JOBSET)(None, stray)
    assert [one.name for one in view.children("u")] == ["j"]
