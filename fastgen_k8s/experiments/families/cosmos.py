"""The facts of Cosmos-Predict2.5."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from fastgen_k8s.experiments.by_kind import ByKind


class Cosmos(ByKind):
    """The architecture of Cosmos-Predict2.5's `CosmosTransformer3DModel`; the defaults are those of 2B."""

    parts: ClassVar = ("transformer",)
    transformer: ClassVar = "diffusers.models.transformers.transformer_cosmos:CosmosTransformer3DModel"

    kind: Literal["cosmos"]
    num_layers: PositiveInt = 28
    num_attention_heads: PositiveInt = 16
    attention_head_dim: Annotated[PositiveInt, Field(ge=12, multiple_of=2)] = 128  # a third each for t, y, x
    mlp_ratio: PositiveFloat = 4.0
    adaln_lora_dim: PositiveInt = 256
    text_embed_dim: PositiveInt = 1024  # of the blocks, and of stored conditions
    crossattn_proj_in_channels: PositiveInt = 100352  # all layers of the text encoder, side by side
    patch_size: tuple[Literal[1], PositiveInt, PositiveInt] = (1, 2, 2)
    max_size: tuple[PositiveInt, PositiveInt, PositiveInt] = (128, 240, 240)  # latent frames, height, width
    rope_scale: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (1.0, 3.0, 3.0)
