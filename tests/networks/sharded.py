# pyright: basic
"""What each of two processes does in the test of sharded networks: the same work whole and sharded, compared."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor

from fastgen_k8s.experiments.schema import Precision
from fastgen_k8s.methods.rollout import flow_on_clean_past
from fastgen_k8s.networks.network import KVCache, features, flow
from fastgen_k8s.networks.video import VideoNetwork
from fastgen_k8s.training.parallel import World, shard
from tests.networks import tiny

Work = Callable[[VideoNetwork, Tensor], Tensor]


def one_pass(network: VideoNetwork, x: Tensor) -> Tensor:
    """The flow of the whole clip, block-causal."""
    return flow(network, x, tiny.times(6, len(x)), tiny.condition(len(x)))


def rollout(network: VideoNetwork, x: Tensor) -> Tensor:
    """Chunk by chunk, each chunk with gradient and its write to the cache without."""
    cache, text, parts = KVCache(), tiny.condition(len(x)), list[Tensor]()
    for part in x.split(2, dim=2):
        parts.append(flow(network, part, torch.full((len(x),), 0.7), text, cache=cache))
        with torch.no_grad():
            flow(network, part, torch.zeros(len(x)), text, cache=cache, write=True)
    return torch.cat(parts, dim=2)


def teacher_forcing(network: VideoNetwork, x: Tensor) -> Tensor:
    """Chunk by chunk on another clip's past, with gradient also through what is written to the cache."""
    return flow_on_clean_past(network, x, tiny.times(6, len(x)), x.flip(2), tiny.condition(len(x)), (2, 2, 2))


def two_features(network: VideoNetwork, x: Tensor) -> Tensor:
    """The outputs of two blocks, as a discriminator reads them."""
    return torch.cat(features(network, x, tiny.times(6, len(x)), tiny.condition(len(x)), (0, 1)), dim=1)


WORKS: dict[str, Work] = {
    "one pass": one_pass,
    "rollout": rollout,
    "teacher forcing": teacher_forcing,
    "features": two_features,
}
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


def gradients(network: VideoNetwork, work: Work, x: Tensor) -> dict[str, Tensor]:
    """Of the mean square of what the work gives, for the weights that it has to do with, whole."""
    work(network, x).square().mean().backward()
    found = {name: parameter.grad for name, parameter in network.named_parameters()}
    return {name: whole(gradient) for name, gradient in found.items() if gradient is not None}


def whole(x: Tensor) -> Tensor:
    """All of a tensor that may be sharded."""
    return x.full_tensor() if isinstance(x, DTensor) else x


def compare(world: World, make: tiny.Make, work: Work, precision: Precision, checkpointing: bool) -> float:
    """The greatest difference between gradients of one process and of several, relative to the greatest gradient."""
    alone, sharded = (tiny.network(make(), 2, window=2, sink=1) for _ in range(2))
    if checkpointing:
        sharded.transformer.enable_gradient_checkpointing()
    shard(sharded, world, precision)
    parts = tiny.clip(6, batch=2 * world.size).split(2)  # text and times are the same in each
    wanted = [gradients(alone, work, part) for part in parts][-1]  # the sum over parts
    found = gradients(sharded, work, parts[world.rank])  # the mean over processes
    greatest = max(float(gradient.abs().max()) for gradient in wanted.values()) / world.size
    return max(float((wanted[name] / world.size - found[name]).abs().max()) for name in wanted) / greatest


def main(rank: int, size: int, folder: Path) -> None:
    """One process: compare everything; the first writes down the differences."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=size)
    world = World(rank, size, mesh=init_device_mesh("cpu", (size,)))
    differences = {
        f"{make.__name__}, {name}, {precision}, {'recomputed' if again else 'kept'}": compare(
            world, make, work, precision, again
        )
        for make in tiny.FAMILIES
        for name, work in WORKS.items()
        for precision in PRECISIONS
        for again in (False, True)
    }
    if rank == 0:
        (folder / "differences.json").write_text(json.dumps(differences))
    dist.destroy_process_group()
