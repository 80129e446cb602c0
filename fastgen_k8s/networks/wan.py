# pyright: basic
"""The family Wan2.1: diffusers' `WanTransformer3DModel`."""

from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from torch import Tensor

from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments.families.wan import Wan
from fastgen_k8s.networks.causal_attention import Pairing


class WanAdapter:
    """`Family` of text to video; it knows no images."""

    transformer = WanTransformer3DModel
    times = 1000
    pairing: Pairing = "neighbours"
    by_head = False
    # also in the names of its own release, where the last layer has another
    top: tuple[str, ...] = (
        "patch_embedding.weight",
        "patch_embedding.bias",
        "proj_out.weight",
        "head.head.weight",
        "head.head.bias",
    )
    blocks, text, table = "blocks", "text_dim", "rope_max_seq_len"

    def build(self, settings: Wan, sees: int, channels: int) -> WanTransformer3DModel:
        """As `Family` says."""
        own = settings.model_dump(exclude={"kind"})
        return WanTransformer3DModel(**own, in_channels=sees * channels, out_channels=channels)

    def prepare(self, transformer: WanTransformer3DModel) -> None:
        """As `Family` says."""
        if transformer.config["added_kv_proj_dim"] is not None or transformer.config["image_dim"] is not None:
            raise BadInput("wanted a text-to-video transformer, found one with image conditions")

    def positions(self, transformer: WanTransformer3DModel) -> tuple[int, int, int]:
        """As `Family` says: one table serves all three."""
        size = transformer.config["rope_max_seq_len"]
        return size, size, size

    def evaluate(self, transformer: WanTransformer3DModel, frames: Tensor, times: Tensor, text: Tensor) -> Tensor:
        """As `Family` says."""
        return transformer(frames, times, text, return_dict=False)[0]
