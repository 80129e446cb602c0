# pyright: basic
"""Text encoders: prompts in, a condition out; used by the encode stage and nobody else."""

import difflib
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import structlog
import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn
from torch.nn.functional import one_hot
from transformers import AutoTokenizer, PreTrainedTokenizerBase, UMT5EncoderModel
from transformers.utils import logging

from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments import schema
from fastgen_k8s.networks.device import local_device
from fastgen_k8s.networks.folder import UNBUILT, component, finite, first_line, read_json
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
    tokenizer, encoder = _tokenizer(tokenizer_path), _umt5(encoder_path)
    if len(tokenizer) > encoder.config.vocab_size:
        found = f"one of {len(tokenizer)}"
        raise BadInput(
            f"{tokenizer_path}: wanted at most the encoder's {encoder.config.vocab_size} tokens, found {found}"
        )
    return Umt5Encoder(tokenizer, encoder, settings.length)


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
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    except (OSError, *UNBUILT) as error:
        raise BadInput(f"{path}: wanted a tokenizer, found {first_line(error)}") from error
    files = list(tokenizer.vocab_files_names.values())  # without any of them transformers makes an empty one
    if not any((path / name).is_file() for name in files):
        raise BadInput(f"{path}: wanted a tokenizer's {' or '.join(files)}, found none")
    if tokenizer.pad_token is None:
        raise BadInput(f"{path}: wanted a tokenizer with a token for padding, found none")
    return tokenizer


def _umt5(path: Path) -> UMT5EncoderModel:
    config = read_json(path / "config.json")
    if config.get("model_type") != "umt5":
        raise BadInput(f"{path / 'config.json'}: wanted a umt5 encoder, found {config.get('model_type')}")
    logging.disable_progress_bar()  # it would draw into logs, whether or not they are a terminal
    logging.set_verbosity_error()  # its tables of keys are said below in one line
    try:
        loaded: Any = UMT5EncoderModel.from_pretrained(
            path,
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # told below, by name
            output_loading_info=True,
        )
    except (OSError, *UNBUILT, SafetensorError, StrictDataclassError) as error:
        raise BadInput(f"{path}: wanted a whole umt5 encoder, found {first_line(error)}") from error
    encoder, info = loaded
    if info["missing_keys"]:
        raise BadInput(f"{path}: wanted a whole umt5 encoder, found no {', '.join(sorted(info['missing_keys'])[:4])}")
    if info["mismatched_keys"]:
        found = f"another shape of {min(map(str, info['mismatched_keys']))}"
        raise BadInput(f"{path}: wanted weights of the shapes that config.json gives, found {found}")
    if info["unexpected_keys"]:
        log.warning("weights left over", folder=str(path), found=sorted(info["unexpected_keys"])[:4])
    odd = next((name for name, value in encoder.named_parameters() if not finite(value)), None)
    if odd is not None:
        raise BadInput(f"{path}: wanted finite weights, found a non-finite value in {odd}")
    nn.Module.to(encoder, local_device())
    return encoder.requires_grad_(False).eval()
