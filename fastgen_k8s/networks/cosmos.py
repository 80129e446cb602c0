# pyright: basic
"""The family Cosmos-Predict2.5: diffusers' `CosmosTransformer3DModel`, as text to world."""

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments.families.cosmos import Cosmos
from fastgen_k8s.networks.by_kind import WeightedFamily
from fastgen_k8s.networks.video import VideoFamily, layers

_CONDITION_MASK = 1  # channels: which frames are given; none are
_PADDING_MASK = 1


def _as_it_is(mask: Tensor, size: list[int], interpolation: object) -> Tensor:
    assert list(mask.shape[-2:]) == size, "the padding mask is made at the latent's size"
    return mask


class Projected(nn.Sequential):
    """The text projection of a transformer whose conditions are stored as it would make them: it passes them on.

    The encode stage has applied it, for its input is a hundred times as large. The weights stay, so that a folder
    of the transformer is whole, and are not trained.
    """

    def forward(self, input: Tensor) -> Tensor:  # the name that it has in torch
        """The text [B, L, D] as it is."""
        return input


class CosmosFamily(VideoFamily):
    """Text to world: no frame is given, nothing is padding, the frame rate has no part in positions."""

    transformer = Cosmos.transformer
    times = 1
    pairing = "halves"
    by_head = True
    top: tuple[str, ...] = (
        "patch_embed.proj.weight",
        "time_embed.norm.weight",
        "norm_out.linear_1.weight",
        "proj_out.weight",
    )
    blocks, text, table = "transformer_blocks", "text_embed_dim", "max_size"

    def shapes(self, network: Cosmos, channels: int) -> dict[str, tuple[int, ...]]:
        width, patch = network.num_attention_heads * network.attention_head_dim, math.prod(network.patch_size)
        seen = channels + _CONDITION_MASK + _PADDING_MASK
        return {
            **layers(
                ("patch_embed.proj", seen * patch, width),
                ("time_embed.t_embedder.linear_1", width, width),
                ("time_embed.t_embedder.linear_2", width, 3 * width),
                ("norm_out.linear_1", width, network.adaln_lora_dim),
                ("norm_out.linear_2", network.adaln_lora_dim, 2 * width),
                ("proj_out", width, channels * patch),
                bias=False,
            ),
            "time_embed.norm.weight": (width,),
            **layers(("crossattn_proj.0", network.crossattn_proj_in_channels, network.text_embed_dim)),
        }

    def block_shapes(self, network: Cosmos) -> dict[str, tuple[int, ...]]:
        width = network.num_attention_heads * network.attention_head_dim
        small, inner, text = network.adaln_lora_dim, int(width * network.mlp_ratio), network.text_embed_dim
        norms = [f"{which}.{norm}.weight" for which in ("attn1", "attn2") for norm in ("norm_q", "norm_k")]
        return {
            **layers(*((f"norm{number}.linear_1", width, small) for number in (1, 2, 3)), bias=False),
            **layers(*((f"norm{number}.linear_2", small, 3 * width) for number in (1, 2, 3)), bias=False),
            **layers(*((f"attn1.{name}", width, width) for name in ("to_q", "to_k", "to_v", "to_out.0")), bias=False),
            **layers(*((f"attn2.{name}", width, width) for name in ("to_q", "to_out.0")), bias=False),
            **layers(*((f"attn2.{name}", text, width) for name in ("to_k", "to_v")), bias=False),
            **dict.fromkeys(norms, (network.attention_head_dim,)),
            **layers(("ff.net.0.proj", width, inner), ("ff.net.2", inner, width), bias=False),
        }

    def settings(self, network: Cosmos, sees: int, channels: int) -> dict[str, Any]:
        return {
            **network.model_dump(exclude={"kind"}),
            "in_channels": sees * channels + _CONDITION_MASK,
            "out_channels": channels,
            "concat_padding_mask": True,
            "extra_pos_embed_type": None,
            "use_crossattn_projection": True,
            "encoder_hidden_states_channels": network.text_embed_dim,
        }

    def prepare(self, transformer: Any) -> None:
        from diffusers.models.transformers import transformer_cosmos

        config = transformer.config
        if config["img_context_dim_in"]:
            raise BadInput("wanted a text-to-world transformer, found one with image conditions")
        if config["extra_pos_embed_type"] is not None:
            raise BadInput(
                f"wanted rotary positions alone, found extra_pos_embed_type {config['extra_pos_embed_type']}"
            )
        if not config["concat_padding_mask"] or not config["use_crossattn_projection"]:
            raise BadInput("wanted a transformer with padding mask and text projection, as Predict2.5's, found another")
        if not hasattr(transformer_cosmos, "transforms"):
            # Without torchvision the forward finds no name for the one function that it takes from there.
            resize, nearest = SimpleNamespace(resize=_as_it_is), SimpleNamespace(NEAREST="nearest")
            setattr(transformer_cosmos, "transforms", SimpleNamespace(functional=resize, InterpolationMode=nearest))  # noqa: B010
        transformer.crossattn_proj = Projected(*transformer.crossattn_proj).requires_grad_(False)

    def positions(self, config: Mapping[str, Any]) -> tuple[int, int, int]:
        (frames, height, width), (_, down, across) = config["max_size"], config["patch_size"]
        return frames, height // down, width // across

    def evaluate(self, transformer: Any, frames: Tensor, times: Tensor, text: Tensor) -> Tensor:
        mask = frames.new_zeros(1, 1, *frames.shape[-2:])  # [1, 1, H, W]
        given = mask.unsqueeze(2).expand(frames.shape[0], -1, -1, -1, -1)  # [B * T, 1, 1, H, W]
        return transformer(frames, times, text, condition_mask=given, padding_mask=mask, return_dict=False)[0]


FAMILY: WeightedFamily = CosmosFamily()
