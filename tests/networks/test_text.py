# pyright: basic
"""Text encoders: labels and UMT5, with the empty prompt and what cannot be encoded."""

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
import torch
from safetensors.torch import load_file, save_file

from fastgen_k8s.artifacts.teacher import LARGEST_TEXT
from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments.encoders import Labels, Umt5
from fastgen_k8s.networks.by_kind import TextEncoder, load_text_encoder
from tests.networks import folders


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folders.text_encoder(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="module")
def umt5(teacher: Path) -> TextEncoder:
    return load_text_encoder(Umt5(kind="umt5", length=8), teacher)


@pytest.fixture
def labels() -> TextEncoder:
    return load_text_encoder(Labels(kind="labels", labels=("moving left", "moving right")), None)


def test_labels_are_one_hot_and_the_empty_prompt_is_zeros(labels: TextEncoder) -> None:
    assert labels(["moving right", "", "moving left"])["text"].tolist() == [[[0.0, 1.0]], [[0.0, 0.0]], [[1.0, 0.0]]]


def test_an_unknown_label_is_refused_with_the_nearest(labels: TextEncoder) -> None:
    with pytest.raises(BadInput, match=r"found 'moving rigth'; the nearest is 'moving right'"):
        labels(["moving rigth"])


def test_umt5_pads_with_zeros_after_the_tokens_of_each_prompt(umt5: TextEncoder) -> None:
    text = umt5(["a red disc", ""])["text"]
    used = (text != 0).any(dim=-1).sum(dim=-1)
    assert text.shape == (2, 8, 8)
    assert used.tolist() == [4, 1]  # words and the end of the sentence


def test_padding_does_not_change_what_a_prompt_means(umt5: TextEncoder, teacher: Path) -> None:
    longer = load_text_encoder(Umt5(kind="umt5", length=12), teacher)
    torch.testing.assert_close(longer(["a red disc"])["text"][:, :8], umt5(["a red disc"])["text"])


@pytest.mark.parametrize("same", ["a  red\tdisc ", "a&#32;red disc", "a &amp;#114;ed disc"])
def test_umt5_reads_a_prompt_as_wan_does(umt5: TextEncoder, same: str) -> None:
    assert torch.equal(umt5([same])["text"], umt5(["a red disc"])["text"])


def test_prompts_are_told_apart(umt5: TextEncoder) -> None:
    red, blue = umt5(["a red disc", "a blue disc"])["text"]
    assert float((red - blue).abs().max()) > 1e-3


def test_a_prompt_that_is_too_long_is_cut_with_a_warning(umt5: TextEncoder) -> None:
    with structlog.testing.capture_logs() as logs:
        umt5(["a red disc moving left a red disc"])
    assert [(entry["event"], entry["found"]) for entry in logs] == [("prompt cut", 9)]


@pytest.mark.parametrize("missing", ["text_encoder", "tokenizer"])
def test_a_folder_without_its_part_is_refused(tmp_path: Path, missing: str) -> None:
    folders.text_encoder(tmp_path)
    (tmp_path / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match=rf"wanted a folder with {missing}/"):
        load_text_encoder(Umt5(kind="umt5"), tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("text_encoder/config.json", '{"model_type": "t5"}', "wanted a umt5 encoder, found t5"),
        ("text_encoder/config.json", "{", "wanted JSON"),
        ("text_encoder/model.safetensors", "text", "wanted a whole umt5 encoder"),
        ("tokenizer/tokenizer.json", "{", "wanted a tokenizer"),
        ("tokenizer/tokenizer_config.json", "{", "wanted JSON"),
        ("tokenizer/tokenizer_config.json", "{}", "wanted a tokenizer with a token for padding"),
        ("tokenizer/tokenizer_config.json", f'{{"extra_ids": {1 << 26}}}', "wanted at most 65536 tokens in extra_ids"),
        ("text_encoder/config.json", '{"model_type": "umt5", "num_layers": "two"}', "wanted a whole umt5 encoder"),
    ],
)
def test_a_spoilt_text_encoder_is_refused_in_one_line(tmp_path: Path, name: str, content: str, found: str) -> None:
    folders.text_encoder(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(BadInput, match=found) as error:
        load_text_encoder(Umt5(kind="umt5"), tmp_path)
    assert "\n" not in str(error.value)


def test_a_tokenizer_with_a_spoilt_part_is_refused_in_one_line(tmp_path: Path) -> None:
    path = folders.text_encoder(tmp_path) / "tokenizer" / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"decoder": 7}))
    with pytest.raises(BadInput, match="wanted a tokenizer, found data did not match any variant"):
        load_text_encoder(Umt5(kind="umt5"), tmp_path)


def test_a_tokenizer_that_names_code_of_its_own_is_refused_and_nobody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = folders.text_encoder(tmp_path) / "tokenizer"
    named = {"tokenizer_class": "Theirs", "auto_map": {"AutoTokenizer": ["theirs.Theirs", None]}}
    (tokenizer / "tokenizer_config.json").write_text(json.dumps(named))
    (tokenizer / "theirs.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w').close()\nclass Theirs: pass\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))  # somebody who says yes to everything
    with pytest.raises(BadInput, match=r"tokenizer: wanted a tokenizer, found .* contains custom code") as error:
        load_text_encoder(Umt5(kind="umt5"), tmp_path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    "name", ["tokenizer/tokenizer_config.json", "tokenizer/tokenizer.json", "text_encoder/config.json"]
)
def test_a_text_of_64_mib_is_refused_unread(tmp_path: Path, name: str) -> None:
    path = folders.text_encoder(tmp_path) / name
    os.truncate(path, LARGEST_TEXT + 1)
    with pytest.raises(BadInput, match=rf"{path.name}: wanted at most 64 MiB, found 64"):
        load_text_encoder(Umt5(kind="umt5"), tmp_path)


def test_a_tokenizer_without_its_vocabulary_is_refused(tmp_path: Path) -> None:
    (folders.text_encoder(tmp_path) / "tokenizer" / "tokenizer.json").unlink()
    with pytest.raises(BadInput, match=r"wanted a tokenizer's .*tokenizer\.json, found none"):
        load_text_encoder(Umt5(kind="umt5"), tmp_path)


@pytest.mark.parametrize("kind", ["T5Tokenizer", "UMT5Tokenizer"])
def test_a_vocabulary_of_sentence_pieces_alone_says_which_packages_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setitem(sys.modules, "sentencepiece", None)  # not installed
    tokenizer = folders.text_encoder(tmp_path) / "tokenizer"
    (tokenizer / "tokenizer.json").rename(tokenizer / "spiece.model")
    (tokenizer / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind}))
    wanted = "wanted tokenizer.json, or sentencepiece and protobuf installed to read spiece.model, found neither"
    with pytest.raises(BadInput, match=wanted) as error:
        load_text_encoder(Umt5(kind="umt5"), tmp_path)
    assert "tiktoken" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda weight: weight / 0, "a non-finite value in encoder.final_layer_norm.weight"),
        (lambda weight: weight[:-1].contiguous(), "another shape of .*encoder.final_layer_norm.weight"),
    ],
)
def test_a_text_encoder_with_spoilt_weights_is_refused(
    tmp_path: Path, change: Callable[[torch.Tensor], torch.Tensor], found: str
) -> None:
    path = folders.text_encoder(tmp_path) / "text_encoder" / "model.safetensors"
    state = load_file(path)
    name = "encoder.final_layer_norm.weight"
    save_file(state | {name: change(state[name])}, path, {"format": "pt"})
    with pytest.raises(BadInput, match=found):
        load_text_encoder(Umt5(kind="umt5"), tmp_path)


def test_weights_left_over_are_warned_of(tmp_path: Path) -> None:
    path = folders.text_encoder(tmp_path) / "text_encoder" / "model.safetensors"
    save_file(load_file(path) | {"x": torch.zeros(1)}, path, {"format": "pt"})
    with structlog.testing.capture_logs() as logs:
        load_text_encoder(Umt5(kind="umt5"), tmp_path)
    assert [(entry["event"], entry["found"]) for entry in logs] == [("weights left over", ["x"])]


def test_a_text_encoder_without_some_weights_is_refused(tmp_path: Path) -> None:
    path = folders.text_encoder(tmp_path) / "text_encoder" / "model.safetensors"
    state = load_file(path)
    del state["encoder.final_layer_norm.weight"]
    save_file(state, path, {"format": "pt"})
    with pytest.raises(BadInput, match=r"found no encoder\.final_layer_norm\.weight"):
        load_text_encoder(Umt5(kind="umt5"), tmp_path)
