# pyright: basic
"""What is Cosmos' own: equality with plain diffusers, a text that is projected beforehand, and what is refused."""

import pytest
import torch
from torch import Tensor

from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.network import flow
from tests.networks import tiny


def layers() -> Tensor:
    """What all layers of a text encoder say of 4 tokens [B, 4, D], before the projection."""
    return torch.randn(2, 4, 20, generator=torch.Generator().manual_seed(3))


def plain(x: Tensor, t: Tensor) -> Tensor:
    """diffusers' own forward, as its pipeline calls it for text to world: a time for every frame, nothing given."""
    given, padding = torch.zeros(2, 1, 5, 2, 4), torch.zeros(1, 1, 2, 4)
    times = t[:, None, None, None, None].expand(2, 1, 5, 1, 1)
    cosmos = tiny.cosmos()
    return cosmos(x, times, layers(), condition_mask=given, padding_mask=padding, return_dict=False)[0]


@pytest.mark.parametrize("chunk_size", [None, 5, 8])
def test_one_chunk_that_covers_the_clip_equals_plain_diffusers(chunk_size: int | None) -> None:
    x, t = tiny.clip(5), torch.tensor([0.999, 0.3])
    with torch.no_grad():
        projected = tiny.cosmos().crossattn_proj(layers())
        ours = flow(tiny.network(tiny.cosmos(), chunk_size), x, t, {"text": projected})
        torch.testing.assert_close(ours, plain(x, t), rtol=0, atol=1e-6)


def test_the_projection_of_the_text_is_kept_and_not_trained() -> None:
    network = tiny.network(tiny.cosmos(), 2)
    fixed = [name for name, parameter in network.named_parameters() if not parameter.requires_grad]
    assert fixed == ["transformer.crossattn_proj.0.weight", "transformer.crossattn_proj.0.bias"]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"img_context_dim_in": 8}, "image conditions"),
        ({"extra_pos_embed_type": "learnable"}, "extra_pos_embed_type learnable"),
        ({"concat_padding_mask": False}, "found another"),
        ({"use_crossattn_projection": False}, "found another"),
    ],
)
def test_a_transformer_of_another_kind_is_refused(changes: dict[str, object], found: str) -> None:
    with pytest.raises(BadInput, match=found):
        tiny.network(tiny.cosmos(**changes), 1)
