"""What people may ask of a pipeline, and what they are told when they may not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastgen_k8s.controller.children import RETRY
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.kube.api import Api
from fastgen_k8s.people.pipelines import Pipelines
from fastgen_k8s.people.requests import retry
from tests.scripted_api import Answer, Asked, Scripted, scripted

STAGE: dict[str, Any] = {"name": "kd"}


@pytest.fixture
def stage() -> dict[str, Any]:
    """What the status says of the only stage."""
    return {"name": "kd", "state": "Failed"}


@pytest.fixture
def server(stage: dict[str, Any], tmp_path: Path) -> Iterator[Scripted]:
    def answer(_: Asked) -> Answer:
        meta = {"namespace": "n", "name": "p"}
        return Answer(body={"metadata": meta, "spec": {"stages": [STAGE]}, "status": {"stages": [stage]}})

    with scripted(answer, tmp_path) as made:
        yield made


@pytest.fixture
def pipelines(server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipelines:
    server.connect()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    return Pipelines(Api(), "n")


@pytest.mark.parametrize("said", [{"state": "Failed"}, {"state": "Queued"}])
def test_a_stage_that_failed_or_never_worked_is_tried_again(
    said: dict[str, str], stage: dict[str, Any], server: Scripted, pipelines: Pipelines
) -> None:
    stage |= said
    assert retry(pipelines, "p", "kd") == "n/p: stage kd is to be tried again"
    assert server.asked[-1].verb == "PATCH"
    assert server.asked[-1].body["metadata"]["annotations"][RETRY].startswith("kd 2")


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"state": "Running", "startedAt": "2026-01-02T03:04:05Z"}, "running"),
        ({"state": "Succeeded"}, "succeeded"),
        ({"state": "Waiting"}, "waiting"),
    ],
)
def test_no_other_stage_is_tried_again(
    said: dict[str, str], found: str, stage: dict[str, Any], server: Scripted, pipelines: Pipelines
) -> None:
    stage |= said
    wanted = f"stage kd of p: wanted one that failed or has never worked, found it {found}"
    with pytest.raises(Misdescribed, match=wanted):
        retry(pipelines, "p", "kd")
    assert {one.verb for one in server.asked} == {"GET"}
