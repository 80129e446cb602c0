"""`key=value` of a run: whom it reaches, and what is said when it reaches nobody."""

from pathlib import Path

import pytest

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.experiments import EXPERIMENTS
from fastgen_k8s.pipeline.settings import apply
from fastgen_k8s.pipeline.spec import Pipeline, read_pipeline

PIPELINE = read_pipeline(Path("manifests/pipelines/closed-form-gaussian.yaml")).spec
TRAINED = {"kd", "sf"}
MODEL = {stage.name for stage in PIPELINE.stages if stage.kind != "encode"}


def touched(setting: str) -> set[str]:
    """The stages that a setting changes."""
    changed = apply(PIPELINE, [setting])
    return {now.name for was, now in zip(PIPELINE.stages, changed.stages, strict=True) if was != now}


@pytest.mark.parametrize(
    ("setting", "stages"),
    [
        ("train.steps=3", TRAINED),
        ("kd.train.steps=3", {"kd"}),
        ("model.chunk_size=3", MODEL),
        ("model.text.labels=[left]", MODEL | {"conditions"}),
        ("conditions.negative_prompt=blurred", {"conditions"}),
        ("pairs.seed=3", {"pairs"}),  # the section: the stage of that name has no setting `seed`
        ("pairs.pairs.seed=3", {"pairs"}),
        ("method.guidance=3", {"sf"}),  # a regression has none
        ("method.clean_chunks=count", {"kd"}),
        ("sample.seed=3", {"untrained", "kd-samples", "sf-samples"}),
        ("execution.save_every=3", {stage.name for stage in PIPELINE.stages}),
        ("sf.execution.save_every=3", {"sf"}),
        ("placement.processes=2", {"pairs", "kd", "sf", "untrained", "kd-samples", "sf-samples"}),
        ("report.placement.processes=2", {"report"}),
        ("kd.placement.nodes=1:2", {"kd"}),
        ("kd.retries=0", {"kd"}),
        ("kd.deadline=9", {"kd"}),
    ],
)
def test_a_setting_reaches_the_stages_that_read_it(setting: str, stages: set[str]) -> None:
    assert touched(setting) == stages


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("steps", "key=value"),
        ("train.stepz=3", "unknown setting 'train.stepz': did you mean 'train.steps'?"),
        ("kd.train.stepz=3", "unknown setting 'kd.train.stepz': did you mean 'train.steps'?"),
        ("kdd.train.steps=3", "did you mean 'kd.train.steps'?"),
        ("kd.sample.seed=3", "a train stage does not read 'sample.seed'"),
        ("kd.method.guidance=3", "unknown setting 'kd.method.guidance'"),
        ("name=mine", "no stage of this pipeline reads it"),
        ("kd.train.steps=many", "stage kd: .*found 'many'"),
        ("kd.train.steps=[", "wanted YAML"),
        ("kd.placement.nodes=3:2", "min 3 above max 2"),
        ("kd.placement.node=3", "did you mean 'placement.nodes'?"),
        ("kd.execution.keep=0", "greater than 0"),
        ("trainer.max_iter=3", "it became train.steps"),
        ("kd.trainer.max_iter=3", "it became train.steps"),
        ("kd=3", "unknown setting 'kd'"),
    ],
)
def test_a_setting_that_fits_nowhere_is_refused(setting: str, words: str) -> None:
    with pytest.raises(Misdescribed, match=words):
        apply(PIPELINE, [setting])


def test_later_settings_count() -> None:
    assert apply(PIPELINE, ["kd.train.steps=3", "train.steps=4"]).stage("kd").resolve().train.steps == 4


@pytest.mark.parametrize(
    "together",
    [
        ("sf.method.exit_sampling=weighted", "sf.method.exit_weights=[1, 1, 1, 1]"),
        ("sf.method.exit_weights=[1, 1, 1, 1]", "sf.method.exit_sampling=weighted"),
    ],
)
def test_settings_that_fit_each_other_only_can_be_given_in_any_order(together: tuple[str, str]) -> None:
    assert apply(PIPELINE, together).stage("sf").overrides[-2:] == tuple(word[3:] for word in together)


def test_a_setting_may_lie_in_what_another_one_made() -> None:
    made = apply(PIPELINE, ["sf.method.gan={weight: 0.1, blocks: [0]}", "sf.method.gan.weight=0.2"])
    assert made.stage("sf").resolve().canonical()["method"]["gan"]["weight"] == 0.2


def test_a_setting_does_not_change_the_pipeline_that_it_was_given() -> None:
    before = PIPELINE.model_dump()
    apply(PIPELINE, ["train.steps=3"])
    assert PIPELINE.model_dump() == before


def test_no_setting_could_mean_a_stage_and_a_section() -> None:
    """A stage may be called like a section: `pairs.seed` is the section's, for no stage has a setting `seed`."""
    settings = {key for experiment in EXPERIMENTS.values() for key in experiment.settings()}
    settings |= {"placement", "execution", "retries", "deadline"}
    assert {key for key in settings if "." in key and key.partition(".")[2] in settings} == set()


def test_a_pipeline_with_no_setting_is_the_same() -> None:
    assert apply(PIPELINE, []) == Pipeline.parse(PIPELINE.model_dump(), "itself")
