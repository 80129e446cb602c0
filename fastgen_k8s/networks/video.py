# pyright: basic
"""diffusers' video transformers as networks of this package: bidirectional or block-causal, whatever the family."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastgen_k8s.diffusion.chunks import chunk_sizes
from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.attention_processors import CrossAttention, SelfAttention
from fastgen_k8s.networks.causal_attention import Sight, look_at_clip, look_back, sight_for_blocks
from fastgen_k8s.networks.cosmos import CosmosAdapter
from fastgen_k8s.networks.family import Family
from fastgen_k8s.networks.features import only_blocks
from fastgen_k8s.networks.network import Condition, KVCache, Network, Output
from fastgen_k8s.networks.wan import WanAdapter

FAMILIES: Mapping[str, Family] = {"wan": WanAdapter(), "cosmos": CosmosAdapter()}
"""By the kind of `model.network`."""


def family_of(transformer: nn.Module) -> Family:
    """The family of a diffusers transformer."""
    return next(family for family in FAMILIES.values() if isinstance(transformer, family.transformer))


class VideoNetwork(Network):
    """Teacher, fake score (`chunk_size` None: every frame sees every frame) or causal student, with one forward.

    Frames are folded into the batch, so that each has a time of its own; attention alone unfolds them.
    """

    def __init__(self, transformer: Any, chunk_size: int | None, window: int | None = None, sink: int = 0) -> None:
        super().__init__()
        if transformer.config["patch_size"][0] != 1:
            raise BadInput(f"wanted patches of one frame, found patch_size {tuple(transformer.config['patch_size'])}")
        self.family, self.transformer = family_of(transformer), transformer
        self.chunk_size, self.window, self.sink = chunk_size, window, sink
        self.family.prepare(transformer)
        for layer, block in enumerate(self.blocks):
            attentions: Any = block
            attentions.attn1.set_processor(SelfAttention(layer, self.family.by_head))
            attentions.attn2.set_processor(CrossAttention(self.family.by_head))

    @property
    def blocks(self) -> nn.ModuleList:
        """The transformer's own list, not a second registration of it: the weights keep diffusers' keys."""
        return self.transformer.get_submodule(self.family.blocks)

    def forward(
        self,
        x_t: Tensor,
        t: Tensor,
        condition: Condition,
        *,
        cache: KVCache | None = None,
        write: bool = False,
        blocks: Sequence[int] = (),
    ) -> Output:
        """One evaluation, as `Network` says; `condition` is {"text": [B, L, D]}."""
        if blocks and write:
            raise ValueError("features-only calls write no cache: their later blocks never run")
        batch, _, frames, height, width = x_t.shape
        family, transformer, sight = self.family, self.transformer, self._sight(frames, cache, write)
        dtype = transformer.proj_out.weight.dtype  # under FSDP2 this is the dtype of computation
        folded = x_t.transpose(1, 2).flatten(0, 1).unsqueeze(2).to(dtype)  # [B * T, C, 1, H, W]
        times = frame_times(family.times, t, batch, frames)  # [B * T]
        text = self._text(condition).to(dtype)
        with sight_for_blocks(transformer.rope, family.pairing, sight, (height, width)):
            if blocks:
                with only_blocks(transformer, family.blocks, blocks) as outputs:
                    family.evaluate(transformer, folded, times, text)
                output = Output(None, tuple(outputs[i].view(batch, -1, outputs[i].shape[-1]) for i in blocks))
            else:
                flow = family.evaluate(transformer, folded, times, text)  # [B * T, C, 1, H, W]
                output = Output(flow.squeeze(2).unflatten(0, (batch, frames)).transpose(1, 2).to(x_t.dtype))
        if cache is not None and write:
            cache.append(sight.new, frames)
        return output

    def _text(self, condition: Condition) -> Tensor:
        text, name = condition["text"], self.family.text
        wanted = self.transformer.config[name]
        if text.shape[-1] != wanted:
            raise BadInput(f"wanted conditions of {wanted} numbers a token ({name}), found {text.shape[-1]}")
        return text

    def _sight(self, frames: int, cache: KVCache | None, write: bool) -> Sight:
        if cache is not None:
            sight = look_back(cache, frames, self.window, self.sink, write)
        elif self.chunk_size is None:
            sight = look_at_clip([frames], None, 0)
        else:
            sight = look_at_clip(chunk_sizes(frames, self.chunk_size), self.window, self.sink)
        longest, found = self.family.positions(self.transformer)[0], sight.positions[-1][1]
        if found > longest:
            raise BadInput(f"wanted at most {longest} frames in sight ({self.family.table}), found {found}")
        return sight


def frame_times(scale: int, t: Tensor, batch: int, frames: int) -> Tensor:
    """Times [B] or [B, T] in [0, 1] as what the network is fed for each frame [B * T], in float32 whatever x_t is."""
    every = t if t.dim() == 2 else t[:, None]  # [B, T] or [B, 1]
    return (scale * every).to(torch.float32).expand(batch, frames).reshape(-1)
