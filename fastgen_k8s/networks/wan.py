# pyright: basic
"""The family Wan2.1: diffusers' `WanTransformer3DModel`."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments.families.wan import Wan
from fastgen_k8s.networks.by_kind import WeightedFamily
from fastgen_k8s.networks.folder import UNBUILT, first_line
from fastgen_k8s.networks.video import VideoFamily


class WanFamily(VideoFamily):
    """Text to video; it knows no images."""

    transformer = "diffusers.models.transformers.transformer_wan:WanTransformer3DModel"
    times = 1000
    pairing = "neighbours"
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

    def settings(self, network: Wan, sees: int, channels: int) -> dict[str, Any]:
        return {**network.model_dump(exclude={"kind"}), "in_channels": sees * channels, "out_channels": channels}

    def prepare(self, transformer: Any) -> None:
        if transformer.config["added_kv_proj_dim"] is not None or transformer.config["image_dim"] is not None:
            raise BadInput("wanted a text-to-video transformer, found one with image conditions")

    def positions(self, config: Mapping[str, Any]) -> tuple[int, int, int]:
        size = config["rope_max_seq_len"]
        return size, size, size

    def evaluate(self, transformer: Any, frames: Tensor, times: Tensor, text: Tensor) -> Tensor:
        return transformer(frames, times, text, return_dict=False)[0]

    def diffusers_keys(self, state: Mapping[str, Tensor], where: str) -> Mapping[str, Tensor]:
        if not any(".self_attn." in name for name in state):
            return state
        from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers

        try:  # the names of Wan's own release
            converted = convert_wan_transformer_to_diffusers(dict(state))
        except UNBUILT as error:
            raise BadInput(f"{where}: wanted the names of Wan's release, found {first_line(error)}") from error
        if len(converted) < len(state):
            raise BadInput(f"{where}: wanted each weight once, found two names that become one in diffusers")
        return converted


FAMILY: WeightedFamily = WanFamily()
