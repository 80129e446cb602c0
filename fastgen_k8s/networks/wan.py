# pyright: basic
"""The family Wan2.1: diffusers' `WanTransformer3DModel`."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments.families.wan import Wan
from fastgen_k8s.networks.by_kind import WeightedFamily
from fastgen_k8s.networks.folder import UNBUILT, first_line
from fastgen_k8s.networks.video import VideoFamily, layers


class WanFamily(VideoFamily):
    """Text to video; it knows no images."""

    transformer = Wan.transformer
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

    def shapes(self, network: Wan, channels: int) -> dict[str, tuple[int, ...]]:
        width, embedder = network.num_attention_heads * network.attention_head_dim, "condition_embedder"
        return {
            "scale_shift_table": (1, 2, width),
            "patch_embedding.weight": (width, channels, *network.patch_size),
            "patch_embedding.bias": (width,),
            **layers(
                (f"{embedder}.time_embedder.linear_1", network.freq_dim, width),
                (f"{embedder}.time_embedder.linear_2", width, width),
                (f"{embedder}.time_proj", width, 6 * width),
                (f"{embedder}.text_embedder.linear_1", network.text_dim, width),
                (f"{embedder}.text_embedder.linear_2", width, width),
                ("proj_out", width, channels * math.prod(network.patch_size)),
            ),
        }

    def block_shapes(self, network: Wan) -> dict[str, tuple[int, ...]]:
        width = network.num_attention_heads * network.attention_head_dim
        attention = [
            f"{which}.{layer}" for which in ("attn1", "attn2") for layer in ("to_q", "to_k", "to_v", "to_out.0")
        ]
        norms = ["norm2.weight", "norm2.bias"] if network.cross_attn_norm else []
        norms += [f"{which}.{norm}.weight" for which in ("attn1", "attn2") for norm in ("norm_q", "norm_k")]
        return {
            "scale_shift_table": (1, 6, width),
            **layers(*((name, width, width) for name in attention)),
            **dict.fromkeys(norms, (width,)),
            **layers(("ffn.net.0.proj", width, network.ffn_dim), ("ffn.net.2", network.ffn_dim, width)),
        }

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
