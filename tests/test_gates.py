"""docs/gates.md names every number that an artifact records, and no other: one real artifact of each kind says so."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from examples.closed_form import ring
from examples.moving_shapes.metric import measure_videos
from examples.moving_shapes.shapes import PROMPTS, draw, kinds
from fastgen_k8s.artifacts import Artifact
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.experiments.encoders import Labels
from fastgen_k8s.pipeline.advice import advice
from tests.conftest import run_stage

DOCS = (Path(__file__).parent.parent / "docs/gates.md").read_text()
SECTIONS = {
    title.strip("`"): body for title, body in re.findall(r"^#{2,3} (\S+)\n(.*?)(?=^#{2,3} |\Z)", DOCS, re.M | re.S)
}
KD, SF = "closed_form/gaussian_kd", "closed_form/gaussian_sf"


def documented(section: str) -> set[str]:
    """The names in the first column of a section's table."""
    rows = re.findall(r"^\| (`.*?) \|", SECTIONS[section], re.M)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def numbers(facts: Mapping[str, object]) -> set[str]:
    """The names of what a gate can bound; a chunk's number is K."""
    return {re.sub(r"chunk\d+$", "chunkK", name) for name, value in facts.items() if isinstance(value, int | float)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, gaussian_conditions: Path) -> dict[str, list[Artifact]]:
    """The artifacts of a short pipeline, by the kind of stage."""
    root = tmp_path_factory.mktemp("gates")
    given = {"conditions": gaussian_conditions}
    few, short = ("pairs.samples_per_prompt=4", "pairs.block_size=8"), ("train.steps=1", "train.global_batch=4")
    pairs = run_stage("pairs", KD, root / "pairs", *few, **given)
    kd = run_stage("train", KD, root / "kd", *short, **given, pairs=root / "pairs")
    bridge = run_stage("bridge", KD, root / "bridge", checkpoint=root / "kd")
    settings = (*short, "method.critic_warmup=0")
    sf = run_stage("train", SF, root / "sf", *settings, **given, student=root / "bridge")
    onward = run_stage("bridge", SF, root / "onward", checkpoint=root / "sf")
    samples = run_stage("sample", SF, root / "samples", "sample.samples_per_prompt=4", **given, student=root / "sf")
    report = run_stage("report", SF, root / "report", samples=root / "samples")
    return {"pairs": [pairs], "train": [kd, sf], "bridge": [bridge, onward], "sample": [samples], "report": [report]}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pairs", "train", "bridge", "sample"])
def test_the_numbers_of_a_stage_are_documented_and_no_others(made: dict[str, list[Artifact]], kind: str) -> None:
    recorded = set[str]().union(*(numbers(artifact.manifest.facts) for artifact in made[kind]))
    assert recorded == documented(kind)


@pytest.mark.slow
def test_a_report_records_its_metrics_numbers_by_input(made: dict[str, list[Artifact]]) -> None:
    [report] = made["report"]
    wanted = documented("examples.closed_form.gaussian:measure")
    assert numbers(report.manifest.facts) == {f"samples.{name}" for name in wanted}


def test_the_numbers_of_encode_are_documented(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("turning left\n")
    artifact = run_stage("encode", KD, tmp_path / "conditions", prompts=tmp_path / "prompts.txt")
    assert numbers(artifact.manifest.facts) == documented("encode")


def test_the_numbers_of_the_demo_are_documented() -> None:
    prompts = [PROMPTS[0], PROMPTS[0], *PROMPTS]
    found = measure_videos(draw(kinds(prompts), torch.full((len(prompts), 2), 0.5)), prompts)
    assert numbers(found) == documented("examples.moving_shapes.metric:measure")


def test_the_numbers_of_the_ring_are_documented() -> None:
    experiment = get_experiment("closed_form/ring_kd")
    assert isinstance(experiment.model.text, Labels)
    prompts = list(experiment.model.text.labels)
    found = ring.measure(experiment, torch.zeros(len(prompts), *experiment.model.latent), prompts)
    assert numbers(found) == documented("examples.closed_form.ring:measure")


def test_every_documented_number_has_words_on_what_to_try() -> None:
    names = {
        name.removesuffix("K") for section in SECTIONS if "|---" in SECTIONS[section] for name in documented(section)
    }
    assert {name for name in names if advice(name) == "docs/gates.md"} == set()
