# pyright: basic
"""Real networks at tiny sizes, and their inputs."""

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.transformers.transformer_cosmos import CosmosTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from torch import Tensor

from fastgen_k8s.networks.cosmos import CosmosFamily
from fastgen_k8s.networks.network import Condition
from fastgen_k8s.networks.video import VideoNetwork
from fastgen_k8s.networks.wan import WanFamily

CHANNELS, TEXT = 3, 8

SETTINGS = [  # chunk_size, window, sink
    (1, None, 0),
    (3, None, 0),
    (2, 2, 0),
    (2, 2, 1),
    (3, 3, 3),
    (1, 2, 2),
]


def wan(**changes: object) -> WanTransformer3DModel:
    """A transformer of a few thousand parameters, the same at every call."""
    settings: dict = {
        "patch_size": (1, 1, 2),
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "in_channels": CHANNELS,
        "out_channels": CHANNELS,
        "text_dim": TEXT,
        "freq_dim": 16,
        "ffn_dim": 32,
        "num_layers": 3,
        "cross_attn_norm": True,
        "rope_max_seq_len": 16,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return WanTransformer3DModel(**{**settings, **changes})


def cosmos(**changes: object) -> CosmosTransformer3DModel:
    """The same of the other family."""
    settings: dict = {
        "patch_size": (1, 1, 2),
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "in_channels": CHANNELS + 1,
        "out_channels": CHANNELS,
        "text_embed_dim": TEXT,
        "encoder_hidden_states_channels": TEXT,
        "crossattn_proj_in_channels": 20,
        "use_crossattn_projection": True,
        "extra_pos_embed_type": None,
        "adaln_lora_dim": 4,
        "mlp_ratio": 2.0,
        "num_layers": 3,
        "max_size": (16, 8, 8),
        "rope_scale": (1.0, 3.0, 3.0),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CosmosTransformer3DModel(**{**settings, **changes})


Make = Callable[..., Any]
"""What makes a tiny transformer of one family; settings may be changed."""
FAMILIES: tuple[Make, ...] = (wan, cosmos)
_OF = {WanTransformer3DModel: WanFamily(), CosmosTransformer3DModel: CosmosFamily()}


def network(transformer: Any, chunk_size: int | None, window: int | None = None, sink: int = 0) -> VideoNetwork:
    """A network of one of these."""
    return VideoNetwork(_OF[type(transformer)], transformer, chunk_size, window, sink)


def clip(frames: int, batch: int = 2, seed: int = 1) -> Tensor:
    """Noise [B, C, T, 2, 4]."""
    return torch.randn(batch, CHANNELS, frames, 2, 4, generator=torch.Generator().manual_seed(seed))


def times(frames: int, batch: int = 2) -> Tensor:
    """A time of its own for every frame [B, T]."""
    return torch.rand(batch, frames, generator=torch.Generator().manual_seed(2))


def condition(batch: int = 2) -> Condition:
    """Text of 4 tokens [B, 4, D]."""
    return {"text": torch.randn(batch, 4, TEXT, generator=torch.Generator().manual_seed(3))}
