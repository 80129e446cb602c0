"""Stages whose inputs and outputs are on S3: the same bits as in a folder."""

import pytest
import torch

from fastgen_k8s.artifacts import FileEntry, find_artifact, open_artifact, store_at
from fastgen_k8s.stages.inspection import inspect
from fastgen_k8s.training.checkpoint import load_role
from tests.conftest import run_stage
from tests.s3_server import Server

PAIRS = ("pairs.samples_per_prompt=4", "pairs.block_size=4", "pairs.solver_steps=8")
TRAIN = ("train.steps=6", "train.global_batch=4", "train.ema={decay: 0.9, start: 0}")
SAMPLE = ("sample.samples_per_prompt=4", "sample.batch=4")


def pipeline(root: str, prompts: str) -> dict[str, str]:
    """Encode, pairs, CausalKD, the bridge and samples of the Gaussian task below a root; where each stage is."""
    kd = "closed_form/gaussian_kd"
    at = {name: f"{root}/{name}" for name in ("conditions", "pairs", "training", "weights", "samples")}
    run_stage("encode", kd, at["conditions"], prompts=prompts)
    run_stage("pairs", kd, at["pairs"], *PAIRS, conditions=at["conditions"])
    run_stage("train", kd, at["training"], *TRAIN, conditions=at["conditions"], pairs=at["pairs"])
    run_stage("bridge", kd, at["weights"], checkpoint=at["training"])
    run_stage("sample", kd, at["samples"], *SAMPLE, conditions=at["conditions"], student=at["weights"])
    return at


@pytest.fixture(scope="module")
def places(s3: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], dict[str, str]]:
    """The same pipeline in a folder and on S3."""
    tmp_path = tmp_path_factory.mktemp("stages")
    (tmp_path / "prompts.txt").write_text("turning left\nturning right\n")
    root = s3.place()
    store_at(root).upload("prompts.txt", tmp_path / "prompts.txt", FileEntry.of_file(tmp_path / "prompts.txt"))
    return pipeline(str(tmp_path / "runs"), str(tmp_path / "prompts.txt")), pipeline(root, f"{root}/prompts.txt")


def test_a_pipeline_on_s3_makes_what_it_makes_in_a_folder(places: tuple[dict[str, str], dict[str, str]]) -> None:
    folder, s3 = places
    for name in ("conditions", "pairs", "weights", "samples"):
        one, other = find_artifact(folder[name]), find_artifact(s3[name])
        assert one is not None
        assert other is not None
        assert one.manifest == other.manifest, name


def test_a_training_on_s3_ends_with_the_weights_of_one_in_a_folder(
    places: tuple[dict[str, str], dict[str, str]],
) -> None:
    folder, s3 = places
    one, other = (
        load_role(open_artifact(place["training"], "training"), "student", "ema")[0] for place in (folder, s3)
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_inspect_reads_every_artifact_on_s3(places: tuple[dict[str, str], dict[str, str]]) -> None:
    _, s3 = places
    for uri in s3.values():
        assert [*inspect(uri)][-1].startswith("whole: ")


def test_event_files_are_put_beside_a_training(places: tuple[dict[str, str], dict[str, str]]) -> None:
    _, s3 = places
    assert [name for name in store_at(s3["training"]).keys("tensorboard/") if "events.out" in name]
