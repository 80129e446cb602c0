"""Door: a kind of stage is a module that does it and one row, and every face then knows it."""

import json
from pathlib import Path

import pytest

from tests.doors.copy import PackageCopy

COUNT = '''
"""Count: how many prompts were encoded."""

from fastgen_k8s.artifacts import Manifest
from fastgen_k8s.stages.stage import StageJob


def check(job: StageJob) -> None:
    """Refuse conditions that are not there."""
    job.input("conditions")


def run(job: StageJob) -> Manifest:
    """Count, and say it."""
    return job.begin().commit({"counted": job.input("conditions").manifest.facts["prompts"]})
'''
ROW = 'StageKind(name="count", makes="counts", reads=("report",), inputs={"conditions": ("conditions",)}),'
EXPERIMENT = "closed_form/gaussian_kd"


@pytest.fixture
def copy(tmp_path: Path) -> PackageCopy:
    """A package with one kind of stage more."""
    copy = PackageCopy(tmp_path)
    copy.add("fastgen_k8s/stages/count.py", COUNT)
    copy.insert("fastgen_k8s/pipeline/kinds.py", ROW, after="_ROWS = (")
    copy.add("prompts.txt", "turning left\nturning right\n")
    return copy


@pytest.mark.processes
def test_a_stage_of_a_new_kind_runs_in_a_pipeline(copy: PackageCopy) -> None:
    encode = {"name": "conditions", "kind": "encode", "inputs": {"prompts": "./prompts.txt"}, "experiment": EXPERIMENT}
    count = {"name": "number", "kind": "count", "inputs": {"conditions": "conditions"}, "experiment": EXPERIMENT}
    ran = copy.run(encode, count | {"gate": {"counted": {"min": 2}}})
    assert ran.returncode == 0, ran.stderr
    made = json.loads((copy.artifact("number") / "artifact.json").read_text())
    assert (made["kind"], made["facts"]) == ("counts", {"counted": 2})


@pytest.mark.processes
def test_a_new_kind_has_a_command_and_a_name_in_the_definition_of_a_cluster(copy: PackageCopy) -> None:
    assert "--input" in copy.call(["-m", "fastgen_k8s", "count", "--help"]).stdout
    assert "stages of kind count know the inputs conditions" in copy.call(["-m", "fastgen_k8s.controller.crd"]).stdout


@pytest.mark.processes
def test_a_new_kind_takes_the_inputs_and_settings_of_its_row_and_no_others(copy: PackageCopy) -> None:
    count = {"name": "number", "kind": "count", "experiment": EXPERIMENT}
    another = count | {"name": "again", "inputs": {"conditions": "number"}}
    for stages, said in (
        ([count | {"inputs": {"pairs": "./x"}}], "a count stage has no input 'pairs': it knows conditions"),
        ([count, another], "wanted a stage of kind encode, found 'number' of kind count"),
        ([count | {"overrides": ["train.steps=3"]}], "a count stage reads report, and nothing else"),
    ):
        refused = copy.run(*stages)
        assert (refused.returncode, said in refused.stderr) == (64, True), refused.stderr
