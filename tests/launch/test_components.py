"""The components as TorchX sees them: linted, with a default for everything, and clear about what is missing."""
# pyright: basic

import inspect
import runpy
from pathlib import Path

import pytest
from torchx.runner import get_runner
from torchx.specs.file_linter import validate
from torchx.specs.finder import get_component

from components.__main__ import NAMES, files
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.launch.app import launch_of
from fastgen_k8s.launch.cluster import Cluster
from fastgen_k8s.launch.component import default, default_count, made
from fastgen_k8s.launch.launch import Launch
from fastgen_k8s.pipeline.kinds import KINDS
from fastgen_k8s.pipeline.words import WORDS
from fastgen_k8s.pipeline.work import Work

MISSING = {
    "encode": "prompts",
    "stage1": "conditions",
    "stage2": "pairs",
    "bridge": "checkpoint",
    "stage3": "student",
    "sample": "student",
}


def launched(name: str, *words: str) -> Launch:
    """What a component comes to."""
    with get_runner() as runner:
        request = runner.dryrun_component(f"components/{name}.py:{name}", list(words), "local_cwd")
    assert request.app is not None
    return launch_of(request.app, Cluster())


def planned(name: str, *words: str) -> Work:
    """The work that a component comes to."""
    return launched(name, *words).work


def test_the_files_are_in_step_with_the_rows() -> None:
    written = {path.name: path.read_text() for path in Path("components").glob("*.py") if path.name != "__main__.py"}
    assert written == {path.name: text for path, text in files().items()}, "run `make components`"


def test_there_is_a_component_for_every_kind_of_stage() -> None:
    assert sorted([*MISSING, "report"]) == sorted(NAMES)
    assert sorted(name for kind in KINDS.values() for name in kind.components) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_component_takes_every_word_of_placement_and_execution(name: str) -> None:
    assert {word.name for word in WORDS} <= set(
        inspect.signature(get_component(f"components/{name}.py:{name}").fn).parameters
    )


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


CONDITIONS = ["--conditions", "s3://bucket/conditions"]
WIDE = [*CONDITIONS, "--teacher", "s3://bucket/teacher"]


@pytest.mark.parametrize(
    ("name", "words", "inputs"),
    [
        ("stage3", ["--experiment", "cosmos_predict2/dmd2", *WIDE, "method.gan=null"], ["conditions", "teacher"]),
        ("stage2", ["--experiment", "moving_shapes/teacher", *CONDITIONS], ["conditions"]),
        ("stage2", ["--experiment", "wan_t2v/kd", *WIDE, "--pairs", "s3://b/p"], ["conditions", "pairs", "teacher"]),
        (
            "sample",
            ["--experiment", "wan_t2v/kd", *WIDE, "--student", "s3://b/s"],
            ["conditions", "student", "teacher"],
        ),
    ],
    ids=["a bidirectional student starts as its teacher", "flow matching makes a teacher", "KD", "samples"],
)
def test_a_component_asks_for_what_its_experiment_needs(name: str, words: list[str], inputs: list[str]) -> None:
    assert sorted(planned(name, *words).inputs) == inputs


@pytest.mark.parametrize("experiment", ["moving_shapes/sf", "closed_form/gaussian_sf"])
def test_stage_3_asks_for_the_student_of_a_causal_model(experiment: str) -> None:
    with pytest.raises(BadInput, match=r"input 'student': .*torchx run components/bridge.py makes one"):
        planned("stage3", "--experiment", experiment, *WIDE, "--student", "nowhere")


def test_words_of_placement_and_execution_mean_what_they_mean_in_a_pipeline() -> None:
    words = ["--experiment", "closed_form/gaussian_kd", *CONDITIONS, "--pairs", "s3://bucket/pairs"]
    flags = ["--nodes", "1:2", "--micro-batch", "3", "--save_every", "7", "--trackers", "tensorboard,wandb"]
    said = ["placement.nodes=1:2", "placement.micro_batch=3", "execution.save_every=7"]
    one, other = launched("stage2", *words, *flags), launched("stage2", *words, *said)
    assert one.placement == other.placement
    assert one.execution == other.execution.override("trackers=[tensorboard, wandb]")
    assert one.work == other.work
    assert (one.placement.nodes, one.placement.micro_batch, one.execution.save_every) == ("1:2", 3, 7)


def test_a_report_tells_settings_from_inputs() -> None:
    made = launched("report", "model=s3://bucket/model", "report.videos=3", "placement.grace=90")
    assert (made.work.inputs, made.work.overrides) == ({"model": "s3://bucket/model"}, ("report.videos=3",))
    assert made.placement.grace == 90


def test_a_variable_for_all_stages_makes_no_second_worker_of_a_stage_that_is_one_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FASTGEN_NODES", "2")
    made = {name: runpy.run_path(f"components/{name}.py")[name] for name in ("stage1", "report")}
    nodes = {name: inspect.signature(function).parameters["nodes"].default for name, function in made.items()}
    assert nodes == {"stage1": "2", "report": "1"}
