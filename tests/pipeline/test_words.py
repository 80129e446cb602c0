"""One vocabulary: a setting of a stage itself is a flag and a `section.name=value`, and both mean the same."""

import pytest
from pydantic import BaseModel

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.pipeline.words import SECTIONS, WORDS, Word, placed

OTHERS = {
    "nodes": "2:3",
    "processes": "4",
    "micro_batch": "5",
    "resource": "h100_8",
    "pool": "spot",
    "grace": "90",
    "log_every": "7",
    "save_every": "0",
    "keep": "9",
    "trackers": "[wandb]",
    "collective_timeout": "33",
}
FLAGS: dict[str, object] = {"trackers": ["wandb"]}


def test_every_setting_of_placement_and_execution_is_a_word() -> None:
    models: dict[str, type[BaseModel]] = dict(SECTIONS)
    wanted = [f"{section}.{name}" for section, model in models.items() for name in model.model_fields]
    assert [f"{word.section}.{word.name}" for word in WORDS] == wanted
    assert sorted(OTHERS) == sorted(word.name for word in WORDS)


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.name)
def test_a_flag_and_a_word_mean_the_same(word: Word) -> None:
    value = OTHERS[word.name]
    flag = FLAGS.get(word.name, int(value) if word.of is int else value)
    said = placed([f"{word.section}.{word.name}={value}", "train.steps=3"], {}, "test")
    assert said == placed(["train.steps=3"], {word.name: flag}, "test")
    assert said[0] == ["train.steps=3"]
    assert said != placed(["train.steps=3"], {}, "test")


def test_trackers_are_listed_with_commas_or_word_by_word() -> None:
    listed = [placed([], {"trackers": given}, "test") for given in (["tensorboard,wandb"], ["tensorboard", "wandb"])]
    assert listed[0] == listed[1]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("placement.nodez=2", "unknown setting 'nodez': did you mean 'nodes'?"),
        ("execution.keep=0", "keep: input should be greater than 0, found 0"),
    ],
)
def test_a_word_that_does_not_fit_is_refused(word: str, said: str) -> None:
    with pytest.raises(Misdescribed, match=said.replace("?", r"\?")):
        placed([word], {}, "test")
