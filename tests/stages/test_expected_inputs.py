"""A stage takes the inputs that its planner saw, and no others of the same digest."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fastgen_k8s.artifacts import begin
from fastgen_k8s.artifacts.manifest import MANIFEST
from fastgen_k8s.artifacts.single import find_input
from fastgen_k8s.errors import BadInput
from fastgen_k8s.pipeline.kinds import Kind
from fastgen_k8s.stages import assembly, bridge, encode, report
from fastgen_k8s.stages.stage import StageJob, resolve
from tests.conftest import job_of

KD = "closed_form/gaussian_kd"


def bound(job: StageJob) -> StageJob:
    """The same job from a planner that looked at its inputs now."""
    seen = {name: find_input(uri).sha256 for name, uri in job.work.inputs.items()}
    return replace(job, work=job.work.model_copy(update={"expect_inputs": seen}))


def resolved(job: StageJob) -> StageJob:
    """As an agent, and each of its workers, begins."""
    return resolve(job.work.argv())


def artifact(place: Path, kind: str) -> Path:
    """A whole artifact that says little."""
    begin(str(place), kind, "d" * 64, {}).commit({"t_list": [0.5, 0.0]})
    return place


def other(place: Path) -> None:
    """Another artifact of the same kind and digest, as somebody who may write there can put it."""
    manifest = json.loads((place / MANIFEST).read_text())
    (place / MANIFEST).write_text(json.dumps(manifest | {"facts": {"other": True}}))


OPENED: dict[str, tuple[Kind, str, str, Callable[[StageJob], object]]] = {
    "a training's conditions": ("train", "conditions", "conditions", assembly.Data),
    "a training's student": ("train", "student", "training", lambda job: job.optional("student")),
    "a bridge's training": ("bridge", "checkpoint", "training", bridge.check),
    "a report's inputs": ("report", "samples", "samples", report.check),
}


@pytest.mark.parametrize("case", OPENED)
def test_an_artifact_that_was_replaced_under_the_same_digest_is_not_opened(tmp_path: Path, case: str) -> None:
    kind, name, made, opens = OPENED[case]
    place = artifact(tmp_path / "input", made)
    job = bound(job_of(kind, KD, tmp_path / "out", **{name: place}))
    assert resolved(job).digest == job.digest  # what is expected changes no digest
    assert job.input(name).uri == str(place)
    other(place)
    for refused in (opens, resolved):
        with pytest.raises(BadInput, match=rf"input {name}: {place}: wanted what was there .*, sha256 \w+, found \w+"):
            refused(job)


FILES: dict[str, tuple[Kind, str, Callable[[StageJob], object]]] = {
    "prompts": ("encode", "prompts.txt", encode.check),
    "checkpoint": ("bridge", "weights.pth", bridge.check),
}


@pytest.mark.parametrize("name", ["prompts", "checkpoint"])
def test_a_file_that_was_replaced_is_not_read(tmp_path: Path, name: str) -> None:
    kind, file, opens = FILES[name]
    torch.save({"a": torch.zeros(2)}, tmp_path / "weights.pth")
    (tmp_path / "prompts.txt").write_text("turning left\n")
    job = bound(job_of(kind, KD, tmp_path / "out", **{name: tmp_path / file}))
    opens(job)
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes() + b"\n")
    with pytest.raises(BadInput, match=rf"input {name}: .*{file}: wanted what was there when this was planned"):
        opens(job)


def test_a_stage_that_nobody_planned_takes_what_is_there(tmp_path: Path) -> None:
    place = artifact(tmp_path / "input", "samples")
    job = job_of("report", KD, tmp_path / "out", samples=place)
    other(place)
    report.check(job)
