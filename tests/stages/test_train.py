"""Training as a stage: what its settings change, and what they must not."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
import torch.utils.checkpoint
from structlog.testing import capture_logs

from fastgen_k8s.artifacts import open_artifact, store_at
from fastgen_k8s.artifacts.metrics import read_metrics
from fastgen_k8s.stages.stage import student_origin
from fastgen_k8s.training.checkpoint import load_role
from tests.conftest import job_of, run_stage

KD = "closed_form/gaussian_kd"
SHORT = ("train.steps=3", "train.global_batch=4")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, gaussian_conditions: Path) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("pairs") / "pairs"
    small = ("pairs.samples_per_prompt=4", "pairs.block_size=8")
    run_stage("pairs", KD, place, *small, conditions=gaussian_conditions)
    return {"conditions": gaussian_conditions, "pairs": place}


def losses(place: Path) -> list[float]:
    return [line["total"] for line in read_metrics(store_at(str(place)))]


def test_recomputing_activations_changes_no_number(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_stage("train", KD, tmp_path / "kept", *SHORT, **inputs)
    used: list[bool] = []
    plain = cast(Any, torch.utils.checkpoint).checkpoint
    monkeypatch.setattr("torch.utils.checkpoint.checkpoint", lambda *a, **k: used.append(True) or plain(*a, **k))  # pyright: ignore
    run_stage("train", KD, tmp_path / "again", *SHORT, "train.checkpointing=true", **inputs)
    runs = [open_artifact(str(tmp_path / name), "training") for name in ("kept", "again")]
    kept, again = (load_role(run, "student", "raw")[0] for run in runs)
    assert used, "no block was run through torch's checkpoint"
    assert all(torch.equal(kept[name], again[name]) for name in kept)


@pytest.mark.parametrize(
    ("experiment", "given", "wanted"),
    [
        ("cosmos_predict2/dmd2", ["teacher"], "its teacher"),
        ("cosmos_predict2/sf", ["teacher", "student"], "student"),
        ("closed_form/gaussian_kd", [], "random weights"),
    ],
    ids=["DMD2 of whole clips", "Self-Forcing", "a closed form, which has no weights"],
)
def test_the_log_says_what_a_student_starts_as(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, experiment: str, given: list[str], wanted: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in given:
        Path(name).write_text(name)
    assert student_origin(job_of("train", experiment, "out", **{name: name for name in given})) == wanted


def test_exactly_so_many_steps_are_made_and_logged(tmp_path: Path, inputs: dict[str, Path]) -> None:
    with capture_logs() as said:
        run_stage("train", KD, tmp_path / "kd", *SHORT, **inputs)
    assert [line["student_from"] for line in said if line["event"] == "training"] == ["random weights"]
    assert [line["step"] for line in read_metrics(store_at(str(tmp_path / "kd")))] == [1, 2, 3]


def test_the_same_seed_gives_the_same_losses_and_another_seed_others(tmp_path: Path, inputs: dict[str, Path]) -> None:
    for name, settings in {"a": (), "b": (), "c": ("train.seed=1",)}.items():
        run_stage("train", KD, tmp_path / name, *SHORT, *settings, **inputs)
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert losses(tmp_path / "a") != losses(tmp_path / "c")
