"""Encode: prompts become conditions."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from fastgen_k8s.artifacts import open_artifact
from fastgen_k8s.data.conditions import Conditions
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.networks.labels import LabelEncoder
from fastgen_k8s.networks.network import Condition
from fastgen_k8s.stages import encode
from tests.conftest import job_of, run_stage

GAUSSIAN = "closed_form/gaussian_kd"


def test_every_prompt_has_its_encoding(gaussian_conditions: Path) -> None:
    conditions = Conditions(open_artifact(str(gaussian_conditions), "conditions"))
    assert conditions.prompts == ("turning left", "turning right")
    assert torch.equal(conditions.batch([1, 0, 1])["text"][:, 0], torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]))


def test_the_empty_and_the_negative_prompt_are_encoded_too(gaussian_conditions: Path) -> None:
    conditions = Conditions(open_artifact(str(gaussian_conditions), "conditions"))
    assert torch.equal(conditions.empty["text"], torch.zeros(1, 1, 2))
    assert torch.equal(conditions.negative["text"], torch.zeros(1, 1, 2))


def test_the_negative_prompt_can_be_chosen(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("turning left\n")
    setting = "conditions.negative_prompt=turning right"
    artifact = run_stage("encode", GAUSSIAN, tmp_path / "c", setting, prompts=tmp_path / "prompts.txt")
    assert torch.equal(Conditions(artifact).negative["text"][0, 0], torch.tensor([0.0, 1.0]))


def test_prompts_that_utf_8_cannot_hold_are_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "turning left"}\n{"prompt": "turning \\ud83d"}\n')
    job = job_of("encode", GAUSSIAN, tmp_path / "c", prompts=tmp_path / "prompts.jsonl")
    with pytest.raises(BadInput, match=r"prompts\.jsonl:2: wanted text, found half a surrogate pair"):
        encode.check(job)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("value", [r'"\ud83d"', r'"a\0b"'])
def test_a_negative_prompt_that_utf_8_cannot_hold_is_misdescribed(tmp_path: Path, value: str) -> None:
    (tmp_path / "prompts.txt").write_text("turning left\n")
    with pytest.raises(Misdescribed, match="negative_prompt: wanted text, found"):
        job_of(
            "encode", GAUSSIAN, tmp_path / "c", f"conditions.negative_prompt={value}", prompts=tmp_path / "prompts.txt"
        )


def test_encoding_twice_gives_the_same_bytes(tmp_path: Path, gaussian_conditions: Path) -> None:
    (tmp_path / "prompts.txt").write_text("turning left\nturning right\n")
    run_stage("encode", GAUSSIAN, tmp_path / "again", prompts=tmp_path / "prompts.txt")
    assert (tmp_path / "again/artifact.json").read_bytes() == (gaussian_conditions / "artifact.json").read_bytes()


def test_a_batch_is_written_before_the_next_one_is_encoded_and_gives_the_same_bytes(
    tmp_path: Path, gaussian_conditions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []  # prompts, each time that some are encoded

    class Counting(LabelEncoder):
        def __call__(self, prompts: Sequence[str]) -> Condition:
            written.append(len(list((tmp_path / "c").glob("prompts/*"))))
            return super().__call__(prompts)

    monkeypatch.setattr("fastgen_k8s.networks.labels.LabelEncoder", Counting)
    monkeypatch.setattr(encode, "_BATCH", 1)
    (tmp_path / "prompts.txt").write_text("turning left\nturning right\n")
    run_stage("encode", GAUSSIAN, tmp_path / "c", prompts=tmp_path / "prompts.txt")
    assert written[-2:] == [0, 1]
    assert (tmp_path / "c/artifact.json").read_bytes() == (gaussian_conditions / "artifact.json").read_bytes()


@pytest.mark.parametrize(("most", "kept"), [(16, True), (15, False)])
def test_encodings_are_kept_while_all_of_them_are_small_enough(
    tmp_path: Path, gaussian_conditions: Path, monkeypatch: pytest.MonkeyPatch, most: int, kept: bool
) -> None:
    monkeypatch.setattr("fastgen_k8s.data.conditions.RESIDENT_BYTES", most)  # two prompts of two numbers are 16 bytes
    place = Path(shutil.copytree(gaussian_conditions, tmp_path / "c"))
    conditions = Conditions(open_artifact(str(place), "conditions"))
    first = conditions.batch([0, 1])["text"]
    assert torch.equal(conditions.batch([0, 1])["text"], first)
    (place / "prompts/000000.safetensors").unlink()
    try:
        conditions.batch([0])
    except BadInput:
        assert not kept
    else:
        assert kept


def test_an_unknown_label_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("turning lift\n")
    with pytest.raises(BadInput, match="found 'turning lift'; the nearest is 'turning left'"):
        run_stage("encode", GAUSSIAN, tmp_path / "c", prompts=tmp_path / "prompts.txt")
    assert not (tmp_path / "c").exists()


def test_without_prompts_there_is_nothing_to_encode(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="wants the input 'prompts'"):
        run_stage("encode", GAUSSIAN, tmp_path / "c")


def test_two_prompt_files_have_two_digests(tmp_path: Path) -> None:
    digests: set[str] = set()
    for text in ("turning left", "turning right"):
        (tmp_path / text).write_text(text)
        digests.add(job_of("encode", GAUSSIAN, tmp_path / "c", prompts=tmp_path / text).digest)
    assert len(digests) == 2
