# pyright: basic
"""The text encoder of Cosmos: what diffusers' pipeline and transformer make of a prompt, and what cannot be read."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
import torch
from diffusers.pipelines.cosmos.pipeline_cosmos2_5_predict import Cosmos2_5_PredictBasePipeline
from safetensors.torch import load_file, save_file

from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments.encoders import Qwen25Vl
from fastgen_k8s.networks.qwen2_5_vl import QwenEncoder, read
from tests.networks import qwen_folder, tiny

SETTINGS = Qwen25Vl(kind="qwen2_5_vl", length=128)
PROMPTS = ["a red disc", "a blue disc moving left", ""]
WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return qwen_folder.qwen(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="module")
def encoder(teacher: Path) -> QwenEncoder:
    return read(SETTINGS, teacher)


def test_a_condition_is_what_diffusers_makes_of_the_prompt(encoder: QwenEncoder) -> None:
    model = encoder.encoder
    parts: Any = SimpleNamespace(tokenizer=encoder.tokenizer, text_encoder=model, _execution_device=model.device)
    with torch.no_grad():
        layers = Cosmos2_5_PredictBasePipeline._get_prompt_embeds(parts, PROMPTS, max_sequence_length=128)
        projection = tiny.cosmos(crossattn_proj_in_channels=qwen_folder.NUMBERS).crossattn_proj
        wanted = projection.to(layers.device)(layers)
    torch.testing.assert_close(encoder(PROMPTS)["text"], wanted, rtol=0, atol=1e-5)


def test_prompts_are_told_apart_and_do_not_depend_on_each_other(encoder: QwenEncoder) -> None:
    together = encoder(PROMPTS)["text"]
    assert float((together[0] - together[1]).abs().max()) > 1e-3
    assert torch.equal(together[1:2], encoder(PROMPTS[1:2])["text"])


def test_a_prompt_that_is_too_long_is_cut_with_a_warning(teacher: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        text = read(SETTINGS.model_copy(update={"length": 16}), teacher)(["a disc"])["text"]
    assert text.shape == (1, 16, tiny.TEXT)
    assert [(entry["event"], entry["wanted"]) for entry in logs] == [("prompt cut", "16 tokens at most")]


def test_the_projection_is_found_in_a_transformer_of_several_files(tmp_path: Path, encoder: QwenEncoder) -> None:
    transformer = tiny.cosmos(crossattn_proj_in_channels=qwen_folder.NUMBERS)
    transformer.save_pretrained(qwen_folder.qwen(tmp_path) / "transformer", max_shard_size="5KB")
    (tmp_path / WEIGHTS).unlink()
    assert torch.equal(read(SETTINGS, tmp_path).weight, encoder.weight)


def projecting(**changes: object) -> Callable[[Path], None]:
    """Another transformer."""
    return lambda folder: tiny.cosmos(**changes).save_pretrained(folder / "transformer")


def reweighted(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    """The same transformer with another bias of the projection."""

    def rewrite(folder: Path) -> None:
        name, state = "crossattn_proj.0.bias", load_file(folder / WEIGHTS)
        save_file(state | {name: change(state[name]).contiguous()}, folder / WEIGHTS)

    return rewrite


def written(name: str, content: str) -> Callable[[Path], object]:
    """Another file."""
    return lambda folder: (folder / name).write_text(content)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no projection": (
        projecting(use_crossattn_projection=False),
        r"with a text projection, found no crossattn_proj\.0\.weight, crossattn_proj\.0\.bias",
    ),
    "another encoder's projection": (
        projecting(crossattn_proj_in_channels=20),
        r"wanted crossattn_proj\.0\.weight for the 16 numbers of all layers, found 20",
    ),
    "another shape": (
        reweighted(lambda bias: bias[1:]),
        r"wanted a matrix and its bias, found shapes \[8, 16\], \[7\]",
    ),
    "a value that is not finite": (reweighted(lambda bias: bias / 0), "wanted a finite text projection"),
    "torn weights": (written(WEIGHTS, "torn"), "wanted a whole safetensors file"),
    "no chat template": (
        lambda folder: (folder / "tokenizer" / "chat_template.jinja").unlink(),
        "wanted a tokenizer with a chat template, found none",
    ),
    "another encoder": (
        written("text_encoder/config.json", '{"model_type": "umt5"}'),
        "wanted a qwen2_5_vl encoder, found umt5",
    ),
    "no weights": (
        lambda folder: (folder / "text_encoder" / "model.safetensors").unlink(),
        "wanted a whole qwen2_5_vl encoder",
    ),
    "no tokenizer": (
        lambda folder: (folder / "tokenizer").rename(folder / "elsewhere"),
        "wanted a folder with tokenizer/",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_folder_with_a_fault_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    spoil, found = REFUSED[case]
    spoil(qwen_folder.qwen(tmp_path))
    with pytest.raises(BadInput, match=found) as error:
        read(SETTINGS, tmp_path)
    assert "\n" not in str(error.value)


def test_a_tokenizer_that_knows_more_than_the_encoder_is_refused(tmp_path: Path, encoder: QwenEncoder) -> None:
    encoder.tokenizer.save_pretrained(qwen_folder.qwen(tmp_path) / "tokenizer")
    more = type(encoder.tokenizer).from_pretrained(tmp_path / "tokenizer")
    more.add_tokens(["disc"])
    more.save_pretrained(tmp_path / "tokenizer")
    with pytest.raises(BadInput, match=r"wanted at most the encoder's \d+ tokens, found one of \d+"):
        read(SETTINGS, tmp_path)
