# pyright: basic
"""Features of chosen blocks: exact, with exact gradients, and without running the blocks after them."""

import pytest
import torch
from torch import Tensor

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.networks.network import KVCache, features
from fastgen_k8s.networks.video import VideoNetwork
from tests.networks import tiny
from tests.networks.tiny import Make

BLOCKS = (1, 0)  # of three, in an order of their own


def in_full(network: VideoNetwork, x: Tensor) -> tuple[Tensor, ...]:
    """The same features, out of a forward that runs to its end."""
    outputs: dict[int, Tensor] = {}
    hooks = [
        block.register_forward_hook(lambda _, args, output, i=i: outputs.update({i: output}))
        for i, block in enumerate(network.blocks)
    ]
    network(x, tiny.times(4), tiny.condition())
    for hook in hooks:
        hook.remove()
    return tuple(outputs[i].view(2, -1, outputs[i].shape[-1]) for i in BLOCKS)


def test_features_are_those_of_the_full_network(make: Make) -> None:
    network, x = tiny.network(make(), 2), tiny.clip(4)
    found = features(network, x, tiny.times(4), tiny.condition(), BLOCKS)
    assert [torch.equal(a, b) for a, b in zip(found, in_full(network, x), strict=True)] == [True, True]


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_through_features_are_those_of_the_full_network(make: Make, checkpointing: bool) -> None:
    network, x = tiny.network(make(), None), tiny.clip(4).requires_grad_()
    wanted = gradient(in_full(network, x), x)
    if checkpointing:
        network.transformer.enable_gradient_checkpointing()
    assert torch.equal(gradient(features(network, x, tiny.times(4), tiny.condition(), BLOCKS), x), wanted)


def gradient(found: tuple[Tensor, ...], x: Tensor) -> Tensor:
    """Of the squares of the features, for the state."""
    return torch.autograd.grad(torch.stack([f.square().sum() for f in found]).sum(), x)[0]


def test_later_blocks_never_run(make: Make) -> None:
    network, ran = tiny.network(make(), None), list[int]()
    for i, block in enumerate(network.blocks):
        block.register_forward_hook(lambda *_, i=i: ran.append(i))
    features(network, tiny.clip(4), tiny.times(4), tiny.condition(), BLOCKS)
    assert ran == [0, 1]


def test_afterwards_the_network_has_all_of_its_blocks(make: Make) -> None:
    network = tiny.network(make(), None)
    with pytest.raises(RuntimeError):
        features(network, tiny.clip(4)[:, :1], tiny.times(4), tiny.condition(), BLOCKS)  # too few channels
    assert len(network.blocks) == 3


@pytest.mark.parametrize("blocks", [(3,), (0, -1)])
def test_blocks_that_do_not_exist_are_refused(make: Make, blocks: tuple[int, ...]) -> None:
    with pytest.raises(Misdescribed, match=r"found a network of 3 blocks"):
        features(tiny.network(make(), None), tiny.clip(4), tiny.times(4), tiny.condition(), blocks)


def test_a_features_only_call_that_would_write_the_cache_is_refused(make: Make) -> None:
    with pytest.raises(ValueError, match="write no cache"):
        tiny.network(make(), 2)(
            tiny.clip(2), tiny.times(2), tiny.condition(), cache=KVCache(), write=True, blocks=BLOCKS
        )
