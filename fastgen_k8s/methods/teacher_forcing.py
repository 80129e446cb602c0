"""Chunk by chunk on a clean past: how an autoregressive teacher is trained and its trajectories are regressed."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fastgen_k8s.diffusion.chunks import chunk_slices
from fastgen_k8s.networks.network import Condition, KVCache, Network, flow


def flow_on_clean_past(
    network: Network, x_t: Tensor, t: Tensor, clean: Tensor, condition: Condition, sizes: Sequence[int]
) -> Tensor:
    """The flow [B, C, T, H, W] of every chunk at x_t and times t [B, T], given the clean frames before that chunk.

    The past is written to a cache at t = 0, as a rollout does it, but with gradient: the loss of a chunk reaches what
    the network makes of its past.
    """
    cache, flows, unused = KVCache(), list[Tensor](), x_t.new_zeros(())
    for frames in chunk_slices(sizes):
        flows.append(flow(network, x_t[:, :, frames], t[:, frames], condition, cache=cache))
        if frames.stop < x_t.shape[2]:
            zero = torch.zeros_like(t[:, frames])
            written = flow(network, clean[:, :, frames], zero, condition, cache=cache, write=True)
            # FSDP2 gathers a block's weights for the backward pass when a gradient reaches the block's output. The last
            # block is left through its keys and values only, so its output gets a gradient of zero.
            unused = unused + 0 * written.mean()
    return torch.cat(flows, dim=2) + unused
