# pyright: basic
"""The family Wan2.1: diffusers' `WanTransformer3DModel`."""

from typing import Any

from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from torch import Tensor

from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments import schema
from fastgen_k8s.networks.attention_processors import CrossAttention, SelfAttention
from fastgen_k8s.networks.causal_attention import Pairing


class Wan:
    """`Family` of text to video; it knows no images."""

    transformer = WanTransformer3DModel
    times = 1000
    pairing: Pairing = "neighbours"
    blocks, text, table = "blocks", "text_dim", "rope_max_seq_len"

    def build(self, settings: schema.Wan, sees: int, channels: int) -> WanTransformer3DModel:
        """As `Family` says."""
        own = settings.model_dump(exclude={"kind"})
        return WanTransformer3DModel(**own, in_channels=sees * channels, out_channels=channels)

    def install(self, transformer: WanTransformer3DModel) -> None:
        """As `Family` says."""
        config = transformer.config
        if config["patch_size"][0] != 1:
            raise BadInput(f"wanted patches of one frame, found patch_size {tuple(config['patch_size'])}")
        if config["added_kv_proj_dim"] is not None or config["image_dim"] is not None:
            raise BadInput("wanted a text-to-video transformer, found one with image conditions")
        for layer, block in enumerate(transformer.blocks):
            attentions: Any = block
            attentions.attn1.set_processor(SelfAttention(layer, by_head=False))
            attentions.attn2.set_processor(CrossAttention(by_head=False))

    def positions(self, transformer: WanTransformer3DModel) -> tuple[int, int, int]:
        """As `Family` says: one table serves all three."""
        size = transformer.config["rope_max_seq_len"]
        return size, size, size

    def weight(self, transformer: WanTransformer3DModel) -> Tensor:
        """As `Family` says."""
        return transformer.patch_embedding.weight

    def evaluate(self, transformer: WanTransformer3DModel, frames: Tensor, times: Tensor, text: Tensor) -> Tensor:
        """As `Family` says."""
        return transformer(frames, times, text, return_dict=False)[0]
