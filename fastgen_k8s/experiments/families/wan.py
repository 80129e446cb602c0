"""The facts of Wan2.1."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from fastgen_k8s.experiments.by_kind import ByKind


class Wan(ByKind):
    """The architecture of a `WanTransformer3DModel`; a teacher's folder that has another one is refused."""

    parts: ClassVar = ("transformer",)
    transformer: ClassVar = "diffusers.models.transformers.transformer_wan:WanTransformer3DModel"

    kind: Literal["wan"]
    num_layers: PositiveInt = 30
    num_attention_heads: PositiveInt = 12
    attention_head_dim: Annotated[PositiveInt, Field(multiple_of=2)] = 128  # positions turn pairs of numbers
    ffn_dim: PositiveInt = 8960
    text_dim: PositiveInt = 4096
    freq_dim: PositiveInt = 256
    # frames stay apart: a patch never mixes them
    patch_size: tuple[Literal[1], PositiveInt, PositiveInt] = (1, 2, 2)
    cross_attn_norm: bool = True
    rope_max_seq_len: PositiveInt = 1024
