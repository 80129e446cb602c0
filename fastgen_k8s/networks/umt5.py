# pyright: basic
"""Wan's text encoder: UMT5."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fastgen_k8s import log
from fastgen_k8s.experiments.encoders import Umt5
from fastgen_k8s.networks.folder import component
from fastgen_k8s.networks.network import Condition
from fastgen_k8s.networks.pretrained import check_vocabulary, read_encoder, read_tokenizer


def read(settings: Umt5, teacher: Path | None) -> "Umt5Encoder":
    """Out of a teacher's folder; BadInput when a part is missing, spoilt, or does not fit the other."""
    from transformers import UMT5EncoderModel

    encoder_path, tokenizer_path = (component(teacher, part) for part in settings.parts)
    tokenizer, encoder = read_tokenizer(tokenizer_path), read_encoder(UMT5EncoderModel, "umt5", encoder_path)
    check_vocabulary(tokenizer, encoder.config.vocab_size, tokenizer_path)
    return Umt5Encoder(tokenizer, encoder, settings.length)


class Umt5Encoder:
    """UMT5's last hidden states [B, length, D], zero after each prompt's own tokens, as Wan was trained with them."""

    def __init__(self, tokenizer: Any, encoder: Any, length: int) -> None:
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
