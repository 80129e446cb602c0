# pyright: basic
"""One broken pipeline for each field and rule of the schema: the server refuses it, and names the field."""

from typing import Any

import pytest

from fastgen_k8s.controller.crd import crd
from tests.cluster.api import Object, Refused
from tests.cluster.cluster import Cluster
from tests.cluster.custom import establish
from tests.cluster.test_manifests import DRY, pipeline
from tests.controller.malformed import Case, cases, unused
from tests.controller.test_agreement import SPEC

pytestmark = pytest.mark.cluster

EXPERIMENT = "closed_form/gaussian_kd"
FULL: Object = {
    "image": "registry/trainer:1",
    "root": "s3://bucket/runs",
    "backend": "jobset",
    "queue": "fastgen",
    "suspend": False,
    "deadline": 1000,
    "ttlSecondsAfterFinished": 10,
    "cleanup": "always",
    "stages": [
        {"name": "first", "kind": "encode", "experiment": EXPERIMENT},
        {
            "name": "samples",
            "kind": "report",
            "experiment": EXPERIMENT,
            "overrides": ["report.title=Ours"],
            "inputs": {"of": "s3://bucket/x"},
            "needs": ["first"],
            "image": "registry/trainer:2",
            "placement": {
                "nodes": "1:2",
                "processes": 1,
                "micro_batch": 1,
                "resource": "cpu_tiny",
                "pool": "cpu",
                "grace": 60,
            },
            "execution": {
                "log_every": 1,
                "save_every": 1,
                "keep": 1,
                "trackers": ["tensorboard"],
                "collective_timeout": 60,
            },
            "gate": {"loss": {"min": 0, "max": 1}},
            "retries": 1,
            "deadline": 10,
            "progressDeadlineSeconds": 10,
        },
    ],
}
BROKEN = list(cases(SPEC, FULL))


@pytest.fixture(scope="module")
def server(api: Cluster) -> Cluster:
    """An API server with our kind."""
    establish(api.api, [crd()])
    api.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "fastgen"}})
    return api


def test_every_field_is_broken_somewhere() -> None:
    assert list(unused(SPEC, FULL)) == []
    assert len(BROKEN) > 100


def test_the_whole_one_is_taken(server: Cluster) -> None:
    server.api.create(pipeline(FULL), **DRY)


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_a_broken_field_is_named(server: Cluster, case: Case) -> None:
    """A null where nothing may be is dropped by servers, as if nothing had been said; no other rule has a way out."""
    try:
        made = server.api.create(pipeline(case.spec), **DRY)
    except Refused as refusal:
        assert (refusal.status, case.where in str(refusal)) == (422, True), refusal
    else:
        assert (case.name.endswith(" null"), case.given(made["spec"])) == (True, False)


@pytest.mark.parametrize("odd", [7, "text", [], None, {"stages": {}}, {"root": 1}])
def test_a_spec_that_is_none_is_refused(server: Cluster, odd: Any) -> None:
    with pytest.raises(Refused) as refused:
        server.api.create(pipeline(odd), **DRY)
    assert refused.value.status in (400, 422)
