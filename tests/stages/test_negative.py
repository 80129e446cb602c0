"""A teacher of a published family that is guided without a negative prompt is said to be, once a check."""

from pathlib import Path

import pytest
import structlog.testing
import torch

from fastgen_k8s.artifacts import FileEntry, begin
from fastgen_k8s.artifacts.manifest import content_digest
from fastgen_k8s.data.conditions import write_conditions
from fastgen_k8s.networks.network import Condition
from fastgen_k8s.pipeline.kinds import Kind
from fastgen_k8s.stages import pairs, train
from tests.conftest import job_of

SAID = "the teacher is guided without a negative prompt"
TINY = "model.text.length=2"
CHECKS = {"pairs": pairs.check, "train": train.check}


def warnings(place: Path, kind: Kind, experiment: str, negative: str, *settings: str, tokens: int = 2) -> list[str]:
    """What the check of a stage warns of, where the conditions were made with that negative prompt."""
    encoded: Condition = {"text": torch.ones(1, tokens, 4)}
    conditions = begin(str(place / "conditions"), "conditions", "c" * 64, {})
    write_conditions(conditions, ["a cat"], [encoded], encoded, encoded)
    conditions.commit({"prompts": 1, "negative_prompt": negative})
    config = FileEntry.of(b"{}")
    teacher = begin(str(place / "teacher"), "model", content_digest({"transformer/config.json": config}), {})
    teacher.put("transformer/config.json", b"{}")
    teacher.commit({"parts": ["transformer"]})
    inputs = {"conditions": place / "conditions", "teacher": place / "teacher"}
    with structlog.testing.capture_logs() as logs:
        CHECKS[kind](job_of(kind, experiment, place / "out", *settings, **inputs))
    return [one["event"] for one in logs if one["log_level"] == "warning"]


@pytest.mark.parametrize(
    ("kind", "experiment", "settings"),
    [
        ("pairs", "wan_t2v/kd_causal", ()),
        ("pairs", "cosmos_predict2/kd_causal", ()),
        ("train", "wan_t2v/sf", ("method.gan=null",)),
        ("train", "cosmos_predict2/sf", ("method.gan=null",)),
    ],
)
def test_a_guided_teacher_without_a_negative_prompt_is_said_to_be_once(
    tmp_path: Path, kind: Kind, experiment: str, settings: tuple[str, ...]
) -> None:
    assert warnings(tmp_path, kind, experiment, "", TINY, *settings) == [SAID]


@pytest.mark.parametrize(
    ("kind", "experiment", "negative", "settings"),
    [
        ("pairs", "wan_t2v/kd_causal", "blurry", ()),
        ("pairs", "wan_t2v/kd_causal", "", ("pairs.guidance=1",)),
        ("train", "wan_t2v/sf", "blurry", ("method.gan=null",)),
        ("train", "wan_t2v/sf", "", ("method.gan=null", "method.guidance=1")),
    ],
)
def test_nothing_is_said_where_there_is_one_or_nothing_reads_it(
    tmp_path: Path, kind: Kind, experiment: str, negative: str, settings: tuple[str, ...]
) -> None:
    assert warnings(tmp_path, kind, experiment, negative, TINY, *settings) == []


def test_nothing_is_said_of_a_teacher_whose_prompts_are_a_list(tmp_path: Path) -> None:
    labels = "model.text={kind: labels, labels: [a, b, c, d]}"
    assert warnings(tmp_path, "pairs", "moving_shapes/kd_causal", "", labels, tokens=1) == []
