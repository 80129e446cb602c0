"""Which pipeline writes a place that several want."""

import threading

import pytest

from fastgen_k8s.controller.children import ATTEMPT, DIGEST, STAGE
from fastgen_k8s.controller.places import Places, shared
from fastgen_k8s.controller.view import ClusterView
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.jobset import JOBSET
from fastgen_k8s.lifecycle.status import StageStatus
from fastgen_k8s.pipeline.resolve import place as place_of
from fastgen_k8s.pipeline.spec import API_VERSION

ROOT, D, OLD = "s3://bucket/runs", "d" * 64, "0" * 64
PLACE = place_of(ROOT, "pairs", D)
US, OTHER = ("n", "us"), ("n", "other")


def view_of(*pipelines: Object) -> ClusterView:
    view = ClusterView(lambda _key, _seconds: None)
    for one in pipelines:
        view.pipeline(None, one)
    return view


def pipeline(state: str, digest: str = D, root: str = ROOT, name: str = "other") -> Object:
    meta = {"namespace": "n", "name": name, "uid": name}
    status = {"digests": {"pairs": digest}, "stages": [{"name": "pairs", "state": state}]}
    return {"metadata": meta, "spec": {"root": root}, "status": status}


@pytest.mark.parametrize(
    ("found", "holder"),
    [
        (pipeline("Queued"), OTHER),
        (pipeline("Running"), OTHER),
        (pipeline("Stopping"), OTHER),
        (pipeline("Waiting"), None),
        (pipeline("Succeeded"), None),
        (pipeline("Failed"), None),
        (pipeline("Running", digest=OLD), None),
        (pipeline("Running", root=f"{ROOT}/deeper"), None),
        (pipeline("Running", root="s3://bucket/run"), None),
        (pipeline("Running", name="us"), None),
        ({"metadata": {"namespace": "n", "name": "other", "uid": "o"}, "spec": {"root": ROOT}, "status": {}}, None),
    ],
)
def test_a_place_is_taken_while_an_attempt_of_another_pipeline_lives(found: Object, holder: object) -> None:
    assert Places(view_of(found)).take(PLACE, US) == holder


@pytest.mark.parametrize(("conditions", "holder"), [([], OTHER), ([{"type": "Failed", "status": "True"}], None)])
def test_a_job_that_is_stopped_because_its_settings_changed_has_its_old_place_until_it_ends(
    conditions: list[Object], holder: object
) -> None:
    view = view_of(pipeline("Stopping", digest=OLD))
    labels = {STAGE: "pairs", ATTEMPT: "1", DIGEST: D[:16]}
    owner = {"apiVersion": API_VERSION, "uid": "other"}
    meta = {"namespace": "n", "name": "j", "uid": "j", "labels": labels, "ownerReferences": [owner]}
    job = {"metadata": meta | {"creationTimestamp": "2026-01-02T03:04:05Z"}, "spec": {}}
    view.job(JOBSET)(None, job | {"status": {"conditions": conditions}})
    assert Places(view).take(PLACE, US) == holder


def test_what_was_taken_stays_so_until_its_attempt_ends_whatever_a_cache_has_heard() -> None:
    places = Places(view_of())
    assert (places.take(PLACE, US), places.take(PLACE, US), places.take(PLACE, OTHER)) == (None, None, US)
    places.keep(US, [PLACE])
    assert places.take(PLACE, OTHER) == US
    places.keep(US, [])
    assert (places.take(PLACE, OTHER), places.take(PLACE, US)) == (None, OTHER)


def test_of_many_that_want_a_place_at_once_one_gets_it() -> None:
    places, got, ready = Places(view_of()), list[object](), threading.Barrier(8)

    def want(name: str) -> None:
        ready.wait()
        got.append(places.take(PLACE, ("n", name)))

    threads = [threading.Thread(target=want, args=(str(number),)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert got.count(None) == 1


def test_a_stage_that_waits_for_another_pipeline_names_it() -> None:
    found = shared(StageStatus(name="pairs"), OTHER, PLACE)
    assert (found.reason, found.message) == ("SharedPlace", f"waits for pipeline n/other, which makes {PLACE}")
