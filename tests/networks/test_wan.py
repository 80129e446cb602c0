# pyright: basic
"""What is Wan's own: equality with plain diffusers, and what is refused."""

import pytest
import torch

from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.network import flow
from tests.networks import tiny


@pytest.mark.parametrize("chunk_size", [None, 5, 8])
def test_one_chunk_that_covers_the_clip_equals_plain_diffusers(chunk_size: int | None) -> None:
    x, t, text = tiny.clip(5), torch.tensor([0.999, 0.3]), tiny.condition()
    with torch.no_grad():
        (plain,) = tiny.wan()(x, 1000 * t, text["text"], return_dict=False)
        ours = flow(tiny.network(tiny.wan(), chunk_size), x, t, text)
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-6)


def test_a_transformer_that_wants_an_image_is_refused() -> None:
    with pytest.raises(BadInput, match="image conditions"):
        tiny.network(tiny.wan(added_kv_proj_dim=24, image_dim=8), 1)
