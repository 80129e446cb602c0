# pyright: basic
"""Text encoders: prompts in, a condition out; used by the encode stage and nobody else."""

import difflib
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import structlog
import torch
from torch.nn.functional import one_hot
from transformers import PreTrainedTokenizerBase, UMT5EncoderModel

from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments import encoders
from fastgen_k8s.networks.folder import component
from fastgen_k8s.networks.network import Condition
from fastgen_k8s.networks.pretrained import check_vocabulary, read_encoder, read_tokenizer
from fastgen_k8s.networks.qwen import QwenEncoder

log = structlog.get_logger()


class TextEncoder(Protocol):
    """Prompts -> {"text": [B, L, D]}."""

    def __call__(self, prompts: Sequence[str]) -> Condition:
        """The condition of some prompts; the empty prompt is one of them."""
        ...


def load_text_encoder(settings: encoders.TextEncoder, teacher: Path | None) -> TextEncoder:
    """The encoder that the settings describe, from the teacher's folder where it has weights."""
    if settings.kind == "labels":
        return LabelEncoder(settings.labels)
    if settings.kind == "qwen2_5_vl":
        return QwenEncoder.read(settings, teacher)
    encoder_path, tokenizer_path = component(teacher, "text_encoder"), component(teacher, "tokenizer")
    tokenizer, encoder = read_tokenizer(tokenizer_path), read_encoder(UMT5EncoderModel, "umt5", encoder_path)
    check_vocabulary(tokenizer, encoder.config.vocab_size, tokenizer_path)
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
