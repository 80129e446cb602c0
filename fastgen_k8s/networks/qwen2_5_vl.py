# pyright: basic
"""Cosmos-Predict2.5's text encoder: every layer of Qwen2.5-VL, made as small as the teacher's blocks read it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import gelu, linear

from fastgen_k8s import log
from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments.encoders import Qwen25Vl
from fastgen_k8s.networks.folder import component, finite, read_tensors
from fastgen_k8s.networks.network import Condition
from fastgen_k8s.networks.pretrained import check_vocabulary, read_encoder, read_tokenizer

_SYSTEM = "You are a helpful assistant who will provide prompts to an image generator."
_WEIGHT, _BIAS = "crossattn_proj.0.weight", "crossattn_proj.0.bias"


def read(settings: Qwen25Vl, teacher: Path | None) -> "QwenEncoder":
    """Out of a teacher's folder; BadInput when a part is missing, spoilt, or does not fit the others."""
    from transformers import Qwen2_5_VLForConditionalGeneration

    tokenizer_path, encoder_path, transformer_path = (component(teacher, part) for part in settings.parts)
    tokenizer = read_tokenizer(tokenizer_path)
    if tokenizer.chat_template is None:
        raise BadInput(f"{tokenizer_path}: wanted a tokenizer with a chat template, found none")
    projection = _projection(transformer_path)
    encoder = read_encoder(Qwen2_5_VLForConditionalGeneration, "qwen2_5_vl", encoder_path)
    text: Any = encoder.config.text_config
    check_vocabulary(tokenizer, text.vocab_size, tokenizer_path)
    numbers, found = text.num_hidden_layers * text.hidden_size, projection[0].shape[1]
    if found != numbers:
        raise BadInput(f"{transformer_path}: wanted {_WEIGHT} for the {numbers} numbers of all layers, found {found}")
    return QwenEncoder(tokenizer, encoder, projection, settings.length)


class QwenEncoder:
    """GELU(W h + b) of all layers' normalised states h, side by side: [B, length, D] instead of a hundred times that.

    W and b are the teacher's and stay fixed. States are normalised and projected in float32, whatever the encoder's
    dtype; diffusers' pipeline does that in the encoder's.
    """

    def __init__(
        self,
        tokenizer: Any,
        encoder: Any,
        projection: tuple[Tensor, Tensor],
        length: int,
    ) -> None:
        self.tokenizer, self.encoder, self.length = tokenizer, encoder, length
        self.weight, self.bias = (tensor.float().to(encoder.device) for tensor in projection)

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str]) -> Condition:
        """The condition of some prompts, one after the other; what is longer than `length` is cut, with a warning."""
        return {"text": torch.cat([self._encode(prompt) for prompt in prompts])}

    def _encode(self, prompt: str) -> Tensor:
        tokens = self._tokens(prompt).to(self.encoder.device)  # [1, length]
        # Padding is not masked: the teacher was trained on it.
        states = self.encoder(tokens, output_hidden_states=True, logits_to_keep=1).hidden_states[1:]
        layers = torch.cat([_normalised(state.float()) for state in states], dim=-1)  # [1, length, layers * width]
        return gelu(linear(layers, self.weight, self.bias))

    def _tokens(self, prompt: str) -> Tensor:
        said = (("system", _SYSTEM), ("user", prompt))
        chat = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in said]
        every: Any = self.tokenizer.apply_chat_template(chat, return_dict=True)
        if (found := len(every["input_ids"])) > self.length:
            log.warning("prompt cut", wanted=f"{self.length} tokens at most", found=found, prompt=prompt[:60])
        fitted: Any = self.tokenizer.apply_chat_template(
            chat, return_dict=True, return_tensors="pt", padding="max_length", max_length=self.length, truncation=True
        )
        return fitted["input_ids"]  # [1, length]


def _normalised(states: Tensor) -> Tensor:
    """Each token's numbers [B, L, D] with mean 0 and deviation 1."""
    return (states - states.mean(dim=-1, keepdim=True)) / (states.std(dim=-1, keepdim=True) + 1e-8)


def _projection(path: Path) -> tuple[Tensor, Tensor]:
    found = read_tensors(path, (_WEIGHT, _BIAS))
    missing = [name for name in (_WEIGHT, _BIAS) if name not in found]
    if missing:
        raise BadInput(f"{path}: wanted a transformer with a text projection, found no {', '.join(missing)}")
    weight, bias = found[_WEIGHT], found[_BIAS]
    if weight.dim() != 2 or bias.shape != weight.shape[:1]:
        raise BadInput(f"{path}: wanted a matrix and its bias, found shapes {list(weight.shape)}, {list(bias.shape)}")
    if not (finite(weight) and finite(bias)):
        raise BadInput(f"{path}: wanted a finite text projection, found a value that is not")
    return weight, bias
