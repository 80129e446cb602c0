# pyright: basic
"""Text encoders: prompts in, a condition out; used by the encode stage and nobody else."""

import difflib
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import structlog
import torch
from safetensors import SafetensorError
from torch import nn
from torch.nn.functional import one_hot
from transformers import AutoTokenizer, PreTrainedTokenizerBase, UMT5EncoderModel
from transformers.utils import logging

from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments import schema
from fastgen_k8s.networks.device import local_device
from fastgen_k8s.networks.folder import component, read_json
from fastgen_k8s.networks.network import Condition

log = structlog.get_logger()


class TextEncoder(Protocol):
    """Prompts -> {"text": [B, L, D]}."""

    def __call__(self, prompts: Sequence[str]) -> Condition:
        """The condition of some prompts; the empty prompt is one of them."""
        ...


def load_text_encoder(settings: schema.TextEncoder, teacher: Path | None) -> TextEncoder:
    """The encoder that the settings describe, from the teacher's folder where it has weights."""
    if settings.kind == "labels":
        return LabelEncoder(settings.labels)
    encoder_path, tokenizer_path = component(teacher, "text_encoder"), component(teacher, "tokenizer")
    return Umt5Encoder(_tokenizer(tokenizer_path), _umt5(encoder_path), settings.length)


class LabelEncoder:
    """One-hot vectors [B, 1, labels] of a closed list of prompts; the empty prompt is zeros."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)

    def __call__(self, prompts: Sequence[str]) -> Condition:
        """The condition of some prompts; BadInput for one that is not in the list."""
        classes = torch.tensor([self._class(prompt) for prompt in prompts])
        return {"text": one_hot(classes, len(self.labels) + 1)[:, None, 1:].float()}  # [B, 1, labels]

    def _class(self, prompt: str) -> int:
        if not prompt:
            return 0
        if prompt in self.labels:
            return 1 + self.labels.index(prompt)
        near = difflib.get_close_matches(prompt, self.labels, n=1)
        nearest = f"; the nearest is {near[0]!r}" if near else ""
        raise BadInput(f"wanted one of the prompts {list(self.labels)}, found {prompt!r}{nearest}")


class Umt5Encoder:
    """UMT5's last hidden states [B, length, D], zero after each prompt's own tokens, as Wan was trained with them."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, encoder: UMT5EncoderModel, length: int) -> None:
        self.tokenizer, self.encoder, self.length = tokenizer, encoder, length

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str]) -> Condition:
        """The condition of some prompts; what is longer than `length` tokens is cut, with a warning."""
        clean = [_clean(prompt) for prompt in prompts]
        for prompt, ids in zip(clean, self.tokenizer(clean)["input_ids"], strict=True):
            if len(ids) > self.length:
                log.warning("prompt cut", wanted=f"{self.length} tokens at most", found=len(ids), prompt=prompt[:60])
        tokens = self.tokenizer(
            clean, padding="max_length", max_length=self.length, truncation=True, return_tensors="pt"
        ).to(self.encoder.device)
        mask = tokens["attention_mask"]  # [B, length]
        states = self.encoder(tokens["input_ids"], mask).last_hidden_state  # [B, length, D]
        return {"text": states.masked_fill(mask[..., None] == 0, 0.0).float()}


def _clean(prompt: str) -> str:
    """A prompt as Wan's pipeline cleans it: entities resolved (twice: they come doubly escaped), white space joined."""
    return " ".join(html.unescape(html.unescape(prompt)).split())


def _tokenizer(path: Path) -> PreTrainedTokenizerBase:
    read_json(path / "tokenizer_config.json")
    try:
        return AutoTokenizer.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: wanted a tokenizer, found {_first_line(error)}") from error


def _umt5(path: Path) -> UMT5EncoderModel:
    config = read_json(path / "config.json")
    if config.get("model_type") != "umt5":
        raise BadInput(f"{path / 'config.json'}: wanted a umt5 encoder, found {config.get('model_type')}")
    logging.disable_progress_bar()  # it would draw into logs, whether or not they are a terminal
    try:
        loaded: Any = UMT5EncoderModel.from_pretrained(
            path, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise BadInput(f"{path}: wanted a whole umt5 encoder, found {_first_line(error)}") from error
    encoder, info = loaded
    if info["missing_keys"]:
        raise BadInput(f"{path}: wanted a whole umt5 encoder, found no {', '.join(sorted(info['missing_keys'])[:4])}")
    nn.Module.to(encoder, local_device())
    return encoder.requires_grad_(False).eval()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
