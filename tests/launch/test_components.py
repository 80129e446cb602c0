"""The components as TorchX sees them: linted, with a default for everything, and clear about what is missing."""
# pyright: basic

from pathlib import Path

import pytest
from torchx.runner import get_runner
from torchx.specs.file_linter import validate
from torchx.specs.finder import get_component

from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.launch.app import launch_of
from fastgen_k8s.launch.cluster import Cluster
from fastgen_k8s.launch.component import default, default_count, made
from fastgen_k8s.pipeline.work import Work

COMPONENTS = sorted(Path("components").glob("*.py"))
NAMES = [file.stem for file in COMPONENTS]
MISSING = {
    "encode": "prompts",
    "stage1": "conditions",
    "stage2": "pairs",
    "bridge": "checkpoint",
    "stage3": "student",
    "sample": "student",
}


def planned(name: str, *words: str) -> Work:
    """The work that a component comes to."""
    with get_runner() as runner:
        request = runner.dryrun_component(f"components/{name}.py:{name}", list(words), "local_cwd")
    assert request.app is not None
    return launch_of(request.app, Cluster()).work


def test_there_is_a_component_for_every_stage() -> None:
    assert sorted([*MISSING, "report"]) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_torchx_finds_no_fault_with_a_component(name: str) -> None:
    assert validate(f"components/{name}.py", name, None) == []
    assert get_component(f"components/{name}.py:{name}").validation_errors == []


@pytest.mark.parametrize("name", MISSING)
def test_without_arguments_a_component_says_which_input_is_missing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    components = Path("components").absolute()
    monkeypatch.chdir(tmp_path)
    with get_runner() as runner, pytest.raises(BadInput, match=f"'{MISSING[name]}'.*FASTGEN_{MISSING[name].upper()}"):
        runner.dryrun_component(f"{components}/{name}.py:{name}", [], "local_cwd")


@pytest.mark.parametrize("flag", ["--negative-prompt-file", "--negative_prompt_file"])
def test_encode_takes_a_negative_prompt_from_a_file(tmp_path: Path, flag: str) -> None:
    (tmp_path / "negative.txt").write_text("costs $$5 #logo\n")
    work = planned("encode", flag, str(tmp_path / "negative.txt"))
    assert work.resolve().conditions.negative_prompt == "costs $$5 #logo"


def test_encode_takes_one_negative_prompt(tmp_path: Path) -> None:
    (tmp_path / "negative.txt").write_text("blurry\n")
    with pytest.raises(Misdescribed, match="found both"):
        planned("encode", "--negative-prompt-file", str(tmp_path / "negative.txt"), "conditions.negative_prompt=x")


def test_a_report_on_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    components = Path("components").absolute()
    monkeypatch.chdir(tmp_path)
    with get_runner() as runner, pytest.raises(BadInput, match="wanted something to report on"):
        runner.dryrun_component(f"{components}/report.py:report", [], "local_cwd")


def test_arguments_and_settings_reach_the_stage(gaussian_conditions: Path) -> None:
    words = ["--experiment", "closed_form/gaussian_kd", "--conditions", str(gaussian_conditions), "--output", "out"]
    assert planned("stage1", *words, "pairs.seed=3", "model.t_list=[0.999, 0]") == Work(
        kind="pairs",
        experiment="closed_form/gaussian_kd",
        overrides=("pairs.seed=3", "model.t_list=[0.999, 0]"),
        inputs={"conditions": str(gaussian_conditions)},
        output="out",
    )


def test_an_input_elsewhere_is_left_to_the_stage_to_look_at() -> None:
    words = ["--experiment", "closed_form/gaussian_kd", "--conditions", "s3://bucket/conditions"]
    assert planned("stage1", *words).inputs == {"conditions": "s3://bucket/conditions"}


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, "runs/encode"),
        ({"FASTGEN_ROOT": "there"}, "there/encode"),
        ({"FASTGEN_CONDITIONS": "mine"}, "mine"),
        ({"FASTGEN_CONDITIONS": "mine", "FASTGEN_STAGE1_CONDITIONS": "its"}, "its"),
        ({"FASTGEN_STAGE2_CONDITIONS": "another's"}, "runs/encode"),
    ],
)
def test_the_environment_gives_defaults(
    environment: dict[str, str], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert default("stage1", "conditions", made("encode")) == wanted


def test_a_count_in_the_environment_is_a_whole_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTGEN_STAGE2_PROCESSES", "two")
    with pytest.raises(Misdescribed, match=r"FASTGEN_STAGE2_PROCESSES .*wanted a whole number, found 'two'"):
        default_count("stage2", "processes", "1")
