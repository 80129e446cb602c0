"""What the trainers of a job say, read from an API server."""

from pathlib import Path
from typing import Any

import pytest

from fastgen_k8s.controller.job import BACKENDS
from fastgen_k8s.kube.api import Api
from fastgen_k8s.launch.jobs import ClusterJobs
from fastgen_k8s.launch.outcome import COMPONENT, INDEX
from fastgen_k8s.people import pods
from fastgen_k8s.people.source import Said
from tests.scripted_api import Answer, Asked, scripted

LOGS = {"kd-0": b"step=1\n\x1b[31m 10%|#  |\r100%|###|\x1b[0m\n", "kd-1": b"a\x9b2Jb\xff"}


def pod(name: str, index: int) -> dict[str, Any]:
    """A trainer that works, of the JobSet `kd`."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": f"kd-trainer-{index}", "uid": name, "controller": True}
    labels = {COMPONENT: "trainer", INDEX: str(index)}
    meta = {"namespace": "lab", "name": name, "labels": labels, "ownerReferences": [owner]}
    meta |= {"creationTimestamp": f"2026-11-28T12:00:0{index}Z"}
    return {"metadata": meta, "status": {"phase": "Running"}}


def answer(asked: Asked) -> Answer:
    """The pods, and what each has written."""
    if asked.path.endswith("/log"):
        return Answer(events=(LOGS[asked.path.split("/")[-2]],))
    return Answer(body={"items": [pod(name, index) for index, name in enumerate(LOGS)]})


def test_the_lines_of_all_trainers_are_as_written_and_cleaned_when_they_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted(answer, tmp_path) as server:
        server.connect()
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        lines = list(pods.read(ClusterJobs(Api(), BACKENDS["jobset"]), "lab", "kd"))
    assert lines[1] == Said("trainer/0", "\x1b[31m 10%|#  |\r100%|###|\x1b[0m")
    assert [str(line) for line in lines] == ["trainer/0 step=1", "trainer/0 100%|###|", "trainer/1 a\ufffd2Jb\ufffd"]
