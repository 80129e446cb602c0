"""Which change of what the cluster holds wakes which pipeline, and how soon."""

from typing import Any

import pytest

from fastgen_k8s.controller.children import PIPELINE
from fastgen_k8s.controller.view import KUEUE_JOB, Found, View
from fastgen_k8s.launch.cluster import GROUP
from fastgen_k8s.launch.jobsets import JOBSET

OWNER = {"apiVersion": f"{GROUP}/v1alpha1", "uid": "u"}
PLACE = {"namespace": "n", "name": "p", "uid": "u", "generation": 1, "annotations": dict[str, str]()}
MADE = {"namespace": "n", "name": "j", "uid": "v", "labels": {PIPELINE: "p"}, "ownerReferences": [OWNER]}
AT_ONCE, GATHERED = 0.0, 0.1


def pipeline(status: str = "", **meta: Any) -> Found:
    return {"metadata": PLACE | meta, "spec": {}, "status": {"said": status}}


def job(status: str = "") -> Found:
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
    kind: str, before: Found | None, after: Found | None, soon: float
) -> None:
    woken: list[tuple[tuple[str, str], float]] = []
    view = View(lambda key, seconds: woken.append((key, seconds)))
    tell = view.pipeline if kind == "pipeline" else view.job(JOBSET)
    tell(before, after)
    assert woken == [(("n", "p"), soon)]


def test_what_kueue_says_of_a_job_wakes_its_pipeline_while_the_job_is_there() -> None:
    woken: list[tuple[str, str]] = []
    view = View(lambda key, _: woken.append(key))
    workload: Found = {"metadata": {"namespace": "n", "name": "w", "labels": {KUEUE_JOB: MADE["uid"]}}, "status": {}}
    view.job(JOBSET)(None, job())
    woken.clear()
    view.workload(None, workload)
    assert woken == [("n", "p")]
    view.job(JOBSET)(job(), None)
    woken.clear()
    view.workload(workload, None)
    assert woken == []
