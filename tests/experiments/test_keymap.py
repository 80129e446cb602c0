"""The names of other programs: each says what it became, and none hides one of ours."""

import re
from pathlib import Path

import pytest

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.experiments import EXPERIMENTS
from fastgen_k8s.experiments.keymap import BECAME
from fastgen_k8s.pipeline.work import Execution, Placement, Work

SETTINGS = {
    *(key for experiment in EXPERIMENTS.values() for key in experiment.settings()),
    *(f"placement.{key}" for key in Placement().settings()),
    *(f"execution.{key}" for key in Execution().settings()),
}


@pytest.mark.parametrize("name", BECAME)
@pytest.mark.parametrize("section", ["", "model.", "trainer.", "config.model."])
def test_a_seed_name_as_an_override_is_answered_with_ours(name: str, section: str) -> None:
    work = Work(kind="train", experiment="wan_t2v/kd", overrides=(f"{section}{name}=1",), output="out")
    with pytest.raises(Misdescribed, match="it became " + re.escape(BECAME[name])):
        work.resolve()


@pytest.mark.parametrize("name", BECAME)
def test_a_seed_name_is_none_of_ours(name: str) -> None:
    assert name not in SETTINGS


@pytest.mark.parametrize("new", BECAME.values())
def test_every_setting_that_an_answer_names_exists(new: str) -> None:
    named = re.findall(r"\b(?:model|pairs|method|optimisation|train|sample|placement|execution)\.[a-z_.]+[a-z_]", new)
    assert [name for name in named if name not in SETTINGS] == []


def test_the_document_has_every_name() -> None:
    text = Path("docs/key-map.md").read_text()
    assert [name for name in BECAME if f"`{name}`" not in text] == []
