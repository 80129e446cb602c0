"""Whose image a stage's job has: the stage's, the pipeline's or the controller's, and no job where nobody names one."""

from pathlib import Path
from typing import Any

import pytest

from fastgen_k8s.artifacts.single import Input
from fastgen_k8s.controller.accept import accept
from fastgen_k8s.controller.job import Settings, job
from fastgen_k8s.controller.reconcile import Reconciler
from fastgen_k8s.controller.roots import Roots
from fastgen_k8s.controller.serve import main
from fastgen_k8s.controller.telemetry import Telemetry
from fastgen_k8s.controller.view import ClusterView
from fastgen_k8s.controller.writes import Writes
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.lifecycle.status import Status
from tests.scripted_api import Answer, scripted

SAID = "stage report: image: wanted one of the stage, the pipeline or the controller (--trainer-image), found none"


def pipeline(image: str | None = None, of_stage: str | None = None) -> dict[str, Any]:
    """An object as the API server gives it."""
    stage = {"name": "report", "kind": "report", "experiment": "closed_form/gaussian_kd", "image": of_stage}
    return {
        "metadata": {"namespace": "n", "name": "p", "uid": "1", "generation": 1, "resourceVersion": "1"},
        "spec": {"root": "s3://bucket/p", "image": image, "stages": [stage]},
        "status": {},
    }


def accepted(found: dict[str, Any], settings: Settings) -> Any:
    return accept(found, Status(), settings, None, lambda _: Input("0" * 64, "0" * 64))


@pytest.mark.parametrize(
    ("of_stage", "of_pipeline", "of_controller", "wanted"),
    [
        ("s:1", "p:1", "c:1", "s:1"),
        (None, "p:1", "c:1", "p:1"),
        (None, None, "c:1", "c:1"),
        (None, "p:1", None, "p:1"),
    ],
)
def test_the_nearest_image_is_taken_and_none_is_in_the_digest(
    of_stage: str | None, of_pipeline: str | None, of_controller: str | None, wanted: str
) -> None:
    found, settings = pipeline(of_pipeline, of_stage), Settings(trainer_image=of_controller)
    taken = accepted(found, settings)
    made = job(found, taken.pipeline, taken.stages["report"], 1, settings)
    [container] = made["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == wanted
    assert taken.digests == accepted(pipeline("another:1"), Settings()).digests


def test_where_nobody_names_an_image_the_pipeline_is_refused_in_one_line() -> None:
    with pytest.raises(Misdescribed) as refused:
        accepted(pipeline(), Settings())
    assert (str(refused.value), refused.value.code) == (SAID, 64)


def test_the_status_says_so_and_no_job_is_made(tmp_path: Path) -> None:
    with scripted(lambda asked: Answer(body=pipeline()), tmp_path) as server:
        connection, telemetry = server.connect(), Telemetry()
        view = ClusterView(lambda key, after: None)
        view.pipeline(None, pipeline())
        connection.get("/version")  # an answer has the time
        Reconciler(connection, view, Writes(connection, lambda: True), Settings(), Roots(None), telemetry)(("n", "p"))
        [written] = [asked.body["status"] for asked in server.asked if asked.path.endswith("/status")]
        assert not [asked for asked in server.asked if "jobsets" in asked.path]
    [said] = written["conditions"]
    assert (said["type"], said["status"], said["reason"], said["message"]) == ("Accepted", "False", "Invalid", SAID)


def test_a_controller_is_not_started_with_an_image_that_may_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with scripted(lambda asked: Answer(body={}), tmp_path) as server:
        server.connect()
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        assert main(["--namespace=n", "--trainer-image=registry.example/trainer:latest"]) == 64
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: image: wanted a tag of its own (not latest) or a digest, found")
