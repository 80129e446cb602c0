"""Whole runs on S3, as processes: a pipeline by the local runner, and trainings that are killed or lose their node."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fastgen_k8s.artifacts import read, store_at
from fastgen_k8s.stages.inspection import inspect
from tests.faults import NONE, Faults, proxy
from tests.processes.runs import Run, ended, equal_bits, kill_one, wait_until
from tests.s3_server import Server

pytestmark = pytest.mark.processes
KD = "closed_form/gaussian_kd"
STAGES: list[dict[str, object]] = [
    {"name": "conditions", "kind": "encode", "inputs": {"prompts": "PROMPTS"}},
    {
        "name": "pairs",
        "kind": "pairs",
        "inputs": {"conditions": "conditions"},
        "overrides": ["pairs.samples_per_prompt=4", "pairs.block_size=4", "pairs.solver_steps=8"],
    },
    {
        "name": "kd",
        "kind": "train",
        "inputs": {"conditions": "conditions", "pairs": "pairs"},
        "overrides": ["train.steps=6", "train.global_batch=4"],
    },
    {"name": "bridge", "kind": "bridge", "inputs": {"checkpoint": "kd"}},
    {"name": "samples", "kind": "sample", "inputs": {"conditions": "conditions", "student": "bridge"}},
    {"name": "report", "kind": "report", "inputs": {"pairs": "pairs", "samples": "samples", "kd": "kd"}},
]


def run(file: Path, root: str) -> subprocess.CompletedProcess[str]:
    """The pipeline, to its end."""
    command = [sys.executable, "-m", "fastgen_k8s", "run", str(file), "--root", root]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def pipeline(s3: Server, tmp_path: Path) -> tuple[Path, str]:
    """A tiny pipeline of all six kinds of stages, its prompts in the bucket, and a root there."""
    root = s3.place()
    store_at(root).put("prompts.txt", b"turning left\nturning right\n")
    text = yaml.safe_dump(
        {
            "apiVersion": "fastgen-k8s.github.io/v1alpha1",
            "kind": "DistillationPipeline",
            "metadata": {"name": "tiny"},
            "spec": {"stages": [{"experiment": KD} | stage for stage in STAGES]},
        }
    )
    (tmp_path / "tiny.yaml").write_text(text.replace("PROMPTS", f"{root}/prompts.txt"))
    return tmp_path / "tiny.yaml", root


def test_a_pipeline_runs_from_prompts_to_report_on_s3_and_is_not_done_twice(pipeline: tuple[Path, str]) -> None:
    file, root = pipeline
    first = run(file, root)
    assert first.returncode == 0, first.stderr
    assert first.stdout.strip() == f"{root}/report/index.html"
    again = run(file, root)
    assert (again.returncode, again.stderr.count("up to date")) == (0, len(STAGES)), again.stderr
    assert b"<html" in read(store_at(root), "report/index.html")
    stages = json.loads(read(store_at(root), "run.json"))["stages"]
    assert all((stage["status"]["state"], stage["status"]["attempt"]) == ("Succeeded", 1) for stage in stages.values())


@pytest.fixture
def training(stage_2: Run, s3: Server) -> Run:
    """CausalKD with its pairs in a folder and its output on S3."""
    return stage_2.to(s3.place(), save_every=2)


@pytest.mark.parametrize("where", ["the same node", "another node"])
def test_a_killed_training_goes_on_from_its_checkpoint_on_s3(
    training: Run, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew = training.start()
    assert wait_until(lambda: bool(training.steps_committed()), crew)
    kill_one(crew, random.Random(0))
    ended(crew)
    if where == "another node":
        monkeypatch.setenv("FASTGEN_CACHE", str(tmp_path / "empty"))
    assert training.finish().code == 0
    undisturbed = training.to(str(tmp_path / "undisturbed"))
    assert undisturbed.finish().code == 0
    assert training.losses() == undisturbed.losses()
    assert equal_bits(training.weights(), undisturbed.weights())


@pytest.fixture
def undisturbed(training: Run, tmp_path: Path) -> Run:
    """The same training in a folder, alone."""
    run = training.to(tmp_path / "undisturbed")
    assert run.finish().code == 0
    return run


@pytest.mark.parametrize("seed", [1, 2])
def test_a_training_behind_faults_ends_with_the_bits_of_an_undisturbed_one(
    training: Run, undisturbed: Run, s3: Server, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    faults = Faults(seed, 0.1)
    with proxy(s3.endpoint, faults) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert training.finish().code == 0
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    assert faults.met.total() - faults.met[NONE] > 3
    assert training.losses() == undisturbed.losses()
    assert equal_bits(training.weights(), undisturbed.weights())


def test_two_groups_that_train_the_same_work_leave_one_artifact(training: Run, undisturbed: Run) -> None:
    crews = [training.start(), training.start()]
    assert [ended(crew).code for crew in crews] == [0, 0]
    assert equal_bits(training.weights(), undisturbed.weights())
    assert [*inspect(str(training.output))][-1].startswith("whole: ")


def test_a_group_that_was_paused_until_its_successor_had_finished_changes_nothing(
    training: Run, undisturbed: Run
) -> None:
    zombie = training.start()
    assert wait_until(lambda: bool(training.steps_committed()), zombie)
    pid = zombie.workers[0].process.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    assert training.finish().code == 0
    before = read(store_at(str(training.output)), "artifact.json")
    os.kill(pid, signal.SIGCONT)
    assert ended(zombie).code == 0
    assert read(store_at(str(training.output)), "artifact.json") == before
    assert equal_bits(training.weights(), undisturbed.weights())
    assert training.losses() == undisturbed.losses()
