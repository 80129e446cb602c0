# pyright: basic
"""What each of two processes does in the test of sharded networks: the same work whole and sharded, compared."""

import os
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh

from fastgen_k8s.experiments.schema import Precision
from fastgen_k8s.networks.network import Cache, features, flow
from fastgen_k8s.networks.wan import WanNetwork
from fastgen_k8s.training.parallel import World, shard
from tests.networks import tiny

Work = Callable[[WanNetwork, Tensor], Tensor]


def one_pass(network: WanNetwork, x: Tensor) -> Tensor:
    """The flow of the whole clip, block-causal."""
    return flow(network, x, tiny.times(6, len(x)), tiny.condition(len(x)))


def rollout(network: WanNetwork, x: Tensor) -> Tensor:
    """Chunk by chunk, each chunk with gradient and its write to the cache without."""
    cache, text, parts = Cache(), tiny.condition(len(x)), list[Tensor]()
    for part in x.split(2, dim=2):
        parts.append(flow(network, part, torch.full((len(x),), 0.7), text, cache=cache))
        with torch.no_grad():
            flow(network, part, torch.zeros(len(x)), text, cache=cache, write=True)
    return torch.cat(parts, dim=2)


def two_features(network: WanNetwork, x: Tensor) -> Tensor:
    """The outputs of two blocks, as a discriminator reads them."""
    return torch.cat(features(network, x, tiny.times(6, len(x)), tiny.condition(len(x)), (0, 1)), dim=1)


WORKS: dict[str, Work] = {"one pass": one_pass, "rollout": rollout, "features": two_features}


def gradients(network: WanNetwork, work: Work, x: Tensor) -> dict[str, Tensor]:
    """Of the mean square of what the work gives, for the weights that it has to do with, whole."""
    work(network, x).square().mean().backward()
    found: dict[str, Tensor] = {}
    for name, parameter in network.named_parameters():
        gradient = parameter.grad
        if gradient is not None:
            found[name] = gradient.full_tensor() if hasattr(gradient, "full_tensor") else gradient
    return found


def compare(rank: int, size: int, port: int, name: str, precision: Precision, checkpointing: bool, worst: float) -> None:
    """Fail unless the sharded network has the gradients of the whole one, on a batch that the processes share."""
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=size)
    mesh = init_device_mesh("cpu", (size,))
    x = tiny.clip(6, batch=2 * size)
    whole, sharded = (WanNetwork(tiny.wan(), 2, window=2, sink=1) for _ in range(2))
    if checkpointing:
        sharded.transformer.enable_gradient_checkpointing()
    shard(sharded, World(rank, size, torch.device("cpu"), mesh), precision)
    # Every sample has the same text and times, so that the batch can be dealt out.
    wanted = [gradients(whole, WORKS[name], part) for part in (x[:2], x[2:])]
    found = gradients(sharded, WORKS[name], x.chunk(size)[rank])
    print(rank, name, max_difference(wanted[-1], found))
    dist.destroy_process_group()


def max_difference(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    assert a.keys() <= b.keys(), sorted(a.keys() ^ b.keys())
    return max(float((a[name] / 2 - b[name]).abs().max()) for name in a)
