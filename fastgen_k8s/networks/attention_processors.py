"""Attention processors for unmodified diffusers blocks: they unfold frames, attend to what is in sight, and fold."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

from fastgen_k8s.networks.causal_attention import Sight, attend, look


class Attention(Protocol):
    """What the processors use of a diffusers attention with normalised queries and keys."""

    heads: int
    to_q: nn.Module
    to_k: nn.Module
    to_v: nn.Module
    norm_q: nn.Module
    norm_k: nn.Module
    to_out: Sequence[nn.Module]


# The processors' arguments have the names by which some of diffusers' attentions call them.


class SelfAttention:
    """Of a block: unfold frames, attend to what is in sight, fold."""

    def __init__(self, layer: int, by_head: bool) -> None:
        self.layer, self.by_head = layer, by_head

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None,
        attention_mask: Tensor | None,
        image_rotary_emb: Sight,
    ) -> Tensor:
        sight, tokens = image_rotary_emb, hidden_states.shape[1]
        batch = hidden_states.shape[0] // sight.frames
        query, key, value = heads(attn, hidden_states, hidden_states, batch, self.by_head)
        mixed = look(sight, self.layer, query, key, value).reshape(-1, tokens, hidden_states.shape[-1])
        return attn.to_out[1](attn.to_out[0](mixed))


class CrossAttention:
    """Of a block to the text: all frames of a sample share its text."""

    def __init__(self, by_head: bool) -> None:
        self.by_head = by_head

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        image_rotary_emb: None = None,
    ) -> Tensor:
        text, tokens = encoder_hidden_states, hidden_states.shape[1]  # [B, L, D]
        mixed = attend(*heads(attn, hidden_states, text, text.shape[0], self.by_head))
        return attn.to_out[1](attn.to_out[0](mixed.reshape(-1, tokens, hidden_states.shape[-1])))


def heads(attn: Attention, hidden: Tensor, seen: Tensor, batch: int, by_head: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Queries of `hidden`, keys and values of `seen`, each [B, tokens, heads, D], frames unfolded.

    Queries and keys are normalised over a head's numbers (`by_head`) or over all of a token's.
    """

    def split(x: Tensor) -> Tensor:
        return x.view(batch, -1, attn.heads, x.shape[-1] // attn.heads)

    query, key, value = attn.to_q(hidden), attn.to_k(seen), attn.to_v(seen)
    if by_head:
        return attn.norm_q(split(query)), attn.norm_k(split(key)), split(value)
    return split(attn.norm_q(query)), split(attn.norm_k(key)), split(value)
