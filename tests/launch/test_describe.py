"""`torchx status` of a job that a cluster calls failed: what counts is the artifact, as for the controller."""

# pyright: reportMissingTypeStubs=false

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from torchx.specs import AppState

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.artifacts.artifact import Writer
from fastgen_k8s.artifacts.manifest import Claim
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.cluster import GROUP
from fastgen_k8s.launch.jobset_scheduler import create_scheduler
from tests.scripted_api import Answer, Asked, kubeconfig, scripted


def pod(index: int, code: int) -> Object:
    labels = {"app.kubernetes.io/component": "trainer", "jobset.sigs.k8s.io/job-index": str(index)}
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": f"kd-trainer-{index}", "controller": True}
    ended = {"exitCode": code, "message": f"error: {code}"}
    return {
        "metadata": {"name": f"p{index}", "labels": labels, "creationTimestamp": "1", "ownerReferences": [owner]},
        "spec": {},
        "status": {
            "phase": "Failed" if code else "Succeeded",
            "containerStatuses": [{"name": "trainer", "state": {"terminated": ended}}],
        },
    }


@pytest.fixture
def described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[AppState, Object, str]]:
    """State, error and message of a failed JobSet whose pods ended with these codes."""

    def look(*codes: int, output: str | None = None) -> tuple[AppState, Object, str]:
        marks = {} if output is None else {"annotations": {f"{GROUP}/output": output}}
        jobset = {
            "metadata": {"name": "kd", "namespace": "n", **marks},
            "spec": {},
            "status": {"conditions": [{"type": "Failed", "status": "True"}]},
        }
        pods = [pod(index, code) for index, code in enumerate(codes)]
        kinds: dict[str, Object] = {"kd": jobset, "pods": {"items": pods}, "jobs": {"items": []}}

        def answer(asked: Asked) -> Answer:
            return Answer(body=kinds[asked.path.rpartition("/")[2]])

        with scripted(answer, tmp_path) as server:
            file = tmp_path / "people"
            file.write_text(json.dumps(kubeconfig(server.url)))
            monkeypatch.setenv("KUBECONFIG", str(file))
            found = create_scheduler("torchx").describe("n:kd")
        assert found is not None
        return found.state, json.loads(found.structured_error_msg), found.msg

    return look


@pytest.fixture
def published(tmp_path: Path) -> str:
    """A place with a whole artifact."""
    store = store_at(str(tmp_path / "out"))
    Writer(store, Claim(kind="training", digest="a" * 64), {}).commit({})
    return store.uri


@pytest.mark.parametrize("code", [1, 64, 65, 70, 71, 75])
@pytest.mark.parametrize("first", [True, False])
def test_a_trainer_that_succeeds_is_the_jobs_success(
    described: Callable[..., tuple[AppState, Object, str]], code: int, first: bool
) -> None:
    codes = (0, code) if first else (code, 0)
    failed = f"trainer/{int(first)} error: {code}"
    assert described(*codes) == (AppState.SUCCEEDED, {}, f"its artifact is published; {failed}")


@pytest.mark.parametrize(("code", "state"), [(70, AppState.SUCCEEDED), (1, AppState.SUCCEEDED), (65, AppState.FAILED)])
def test_an_artifact_says_what_its_trainer_did_not_live_to_say(
    described: Callable[..., tuple[AppState, Object, str]], published: str, code: int, state: AppState
) -> None:
    found, _, _ = described(code, output=published)
    assert found == state  # 65: the place may hold another work's


@pytest.mark.parametrize("output", [None, "nowhere", "s3://"])
def test_a_job_without_an_artifact_has_failed(
    described: Callable[..., tuple[AppState, Object, str]], output: str | None
) -> None:
    assert described(70, output=output) == (AppState.FAILED, {"exit_code": 70}, "trainer/0 error: 70")
