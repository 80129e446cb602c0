# pyright: basic
"""Wan2.1's transformer, diffusers' own class, as a network of this package: bidirectional or block-causal."""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from torch import Tensor, nn

from fastgen_k8s.diffusion.chunks import chunk_sizes
from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.causal_attention import (
    CrossAttention,
    SelfAttention,
    Sight,
    look_at_clip,
    look_back,
    sight_for_blocks,
)
from fastgen_k8s.networks.features import only_blocks
from fastgen_k8s.networks.network import Cache, Condition, Network, Output

TIMES = 1000  # Wan's network is fed 1000 t


class WanNetwork(Network):
    """Teacher, fake score (`chunk_size` None: every frame sees every frame) or causal student, with one forward.

    Frames are folded into the batch, so that each has a time of its own; attention alone unfolds them.
    """

    def __init__(
        self, transformer: WanTransformer3DModel, chunk_size: int | None, window: int | None = None, sink: int = 0
    ) -> None:
        super().__init__()
        config = transformer.config
        if config["patch_size"][0] != 1:
            raise BadInput(f"wanted patches of one frame, found patch_size {tuple(config['patch_size'])}")
        if config["added_kv_proj_dim"] is not None or config["image_dim"] is not None:
            raise BadInput("wanted a text-to-video transformer, found one with image conditions")
        for layer, block in enumerate(transformer.blocks):
            attentions: Any = block
            attentions.attn1.set_processor(SelfAttention(layer))
            attentions.attn2.set_processor(CrossAttention())
        self.transformer = transformer
        self.chunk_size, self.window, self.sink = chunk_size, window, sink

    @property
    def blocks(self) -> nn.ModuleList:
        """The transformer's own list, not a second registration of it: the weights keep diffusers' keys."""
        return self.transformer.blocks

    def forward(
        self,
        x_t: Tensor,
        t: Tensor,
        condition: Condition,
        *,
        cache: Cache | None = None,
        write: bool = False,
        blocks: Sequence[int] = (),
    ) -> Output:
        """One evaluation, as `Network` says; `condition` is {"text": [B, L, D]}."""
        if blocks and write:
            raise ValueError("features-only calls write no cache: their later blocks never run")
        batch, _, frames, height, width = x_t.shape
        sight = self._sight(frames, cache, write)
        dtype = self.transformer.patch_embedding.weight.dtype  # under FSDP2 this is the dtype of computation
        folded = x_t.transpose(1, 2).flatten(0, 1).unsqueeze(2).to(dtype)  # [B * T, C, 1, H, W]
        times = frame_times(t, batch, frames)  # [B * T]
        text = self._text(condition).to(dtype)
        with sight_for_blocks(self.transformer.rope, sight, (height, width)):
            if blocks:
                with only_blocks(self.transformer, blocks) as outputs:
                    self.transformer(folded, times, text, return_dict=False)
                output = Output(None, tuple(outputs[i].view(batch, -1, outputs[i].shape[-1]) for i in blocks))
            else:
                (flow,) = self.transformer(folded, times, text, return_dict=False)  # [B * T, C, 1, H, W]
                output = Output(flow.squeeze(2).unflatten(0, (batch, frames)).transpose(1, 2).to(x_t.dtype))
        if cache is not None and write:
            cache.append(sight.new, frames)
        return output

    def _text(self, condition: Condition) -> Tensor:
        text, wanted = condition["text"], self.transformer.config["text_dim"]
        if text.shape[-1] != wanted:
            raise BadInput(f"wanted conditions of {wanted} numbers a token (text_dim), found {text.shape[-1]}")
        return text

    def _sight(self, frames: int, cache: Cache | None, write: bool) -> Sight:
        if cache is not None:
            sight = look_back(cache, frames, self.window, self.sink, write)
        elif self.chunk_size is None:
            sight = look_at_clip([frames], None, 0)
        else:
            sight = look_at_clip(chunk_sizes(frames, self.chunk_size), self.window, self.sink)
        longest, found = self.transformer.config["rope_max_seq_len"], sight.positions[-1][1]
        if found > longest:
            raise BadInput(f"wanted at most {longest} frames in sight (rope_max_seq_len), found {found}")
        return sight


def frame_times(t: Tensor, batch: int, frames: int) -> Tensor:
    """Times [B] or [B, T] in [0, 1] as what the network is fed for each frame [B * T], in float32 whatever x_t is."""
    every = t if t.dim() == 2 else t[:, None]  # [B, T] or [B, 1]
    return (TIMES * every).to(torch.float32).expand(batch, frames).reshape(-1)
