# pyright: basic
"""One group of processes: how its networks are sharded (FSDP2) and how its numbers are added up."""

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._C._distributed_c10d import HashStore
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from fastgen_k8s.errors import FastgenError, StoreFailed
from fastgen_k8s.experiments.schema import Precision
from fastgen_k8s.networks.network import Network, Output

T = TypeVar("T")
_CPU = torch.device("cpu")

IO_TIMEOUT = timedelta(minutes=30)
"""What the background group waits for files: large checkpoints take minutes. A peer that died closes its connection."""


@dataclass(frozen=True)
class World:
    """The processes of a run. One process alone has no mesh: its networks are not sharded."""

    rank: int = 0
    size: int = 1
    device: torch.device = _CPU
    mesh: DeviceMesh | None = None
    background: dist.ProcessGroup | None = None  # gloo, for the thread that writes checkpoints


@contextmanager
def join(device: torch.device, precision: Precision, timeout: int) -> Generator[World]:
    """Meet the processes that the environment names (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT).

    A single process has a mesh when it computes in another precision than that of its master weights: FSDP2 does the
    conversion, so that it is the same code at every size.
    """
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    limit = timedelta(seconds=timeout)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    if size == 1:
        dist.init_process_group(backend, store=HashStore(), rank=0, world_size=1, timeout=limit)
    else:
        dist.init_process_group(backend, init_method="env://", timeout=limit)
    mesh = init_device_mesh(device.type, (size,)) if size > 1 or precision != "float32" else None
    background = dist.new_group(backend="gloo", timeout=IO_TIMEOUT)
    assert isinstance(background, dist.ProcessGroup)  # every rank is in it
    ended_well = False
    try:
        yield World(rank, size, device, mesh, background)
        ended_well = True
    finally:
        if ended_well or size == 1:  # a group that lost a peer may never come back from its end
            dist.destroy_process_group()


def shard(module: nn.Module, world: World, precision: Precision) -> None:
    """Shard a network's blocks, then the network: master weights in float32, computation in `precision`.

    Inputs are not cast: a bfloat16 time would turn 999 into 1000. Networks cast what they want cast themselves.
    """
    if world.mesh is None or next(module.parameters(), None) is None:
        return
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard  # takes seconds, and one process needs none

    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if precision == "bfloat16" else None,
        reduce_dtype=torch.float32,
        cast_forward_inputs=False,
    )
    if isinstance(module, Network):
        for block in module.blocks:
            fully_shard(block, mesh=world.mesh, mp_policy=policy)
        module.register_forward_hook(_without_views)
    fully_shard(module, mesh=world.mesh, mp_policy=policy)


def _without_views(module: nn.Module, inputs: object, output: Output) -> Output:
    """FSDP2 hangs its hooks on what a network returns, and would lose them with a view that is changed in place."""
    flow = None if output.flow is None else output.flow.clone()
    return Output(flow, tuple(feature.clone() for feature in output.features))


def forget_gathered(module: nn.Module) -> None:
    """Bring a sharded network back to its shards: its next forward reads what was written to them."""
    from torch.distributed.fsdp import FSDPModule  # as above

    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.reshard()


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor, sharing its memory."""
    from torch.distributed.tensor import DTensor

    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def add_up(world: World, values: Tensor) -> list[float]:
    """The sums of `values` over all processes; also the place where they wait for each other."""
    if world.size > 1:
        dist.all_reduce(values)
    return values.tolist()


def agree(world: World, work: Callable[[], T]) -> list[T]:
    """What the work of every rank came to, in order, on every rank; what fails for one fails for all.

    It meets in the background group: one thread at a time, the one that writes a checkpoint while there is one.
    """
    outcomes: list[T | FastgenError] = [_outcome(work)] * world.size
    if world.size > 1:
        dist.all_gather_object(outcomes, outcomes[0], group=world.background)
    for outcome in outcomes:
        if isinstance(outcome, FastgenError):
            raise outcome
    return cast("list[T]", outcomes)


def first(world: World, work: Callable[[], T]) -> T:
    """Work that rank 0 does for all."""
    return cast("T", agree(world, lambda: work() if world.rank == 0 else None)[0])


def _outcome(work: Callable[[], T]) -> T | FastgenError:
    try:
        return work()
    except FastgenError as error:
        return error
    except OSError as error:
        return StoreFailed(str(error))


def norm_squared(gradients: Sequence[Tensor]) -> Tensor:
    """The squared norm of this process's parts of gradients; summed over processes it is that of the whole."""
    return nn.utils.get_total_norm([local(gradient) for gradient in gradients]).double() ** 2
