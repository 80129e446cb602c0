"""The teacher's trajectories: what an ODE pair holds, for a teacher of whole clips or of one chunk after another."""

import torch
from torch import Tensor

from fastgen_k8s.diffusion.chunks import chunk_sizes, chunk_slices
from fastgen_k8s.diffusion.schedule import pure_noise
from fastgen_k8s.diffusion.solvers import snapped_grid, solve
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.experiments.schema import Pairs
from fastgen_k8s.methods.method import for_batch
from fastgen_k8s.networks.network import Condition, KVCache, Network, flow, guided_flow


@torch.no_grad()
def trajectory(
    teacher: Network, eps: Tensor, condition: Condition, negative: Condition, model: Model, pairs: Pairs
) -> tuple[Tensor, Tensor]:
    """States [B, S, C, T, H, W] at the S non-zero times of t_list, and the clean latent [B, C, T, H, W].

    Entry 0 is the initial noise `eps` [B, C, T, H, W] scaled to t_list[0]. An autoregressive teacher solves each chunk
    on the clean chunks before it, which it sees through its cache.
    """
    chunks = (eps.shape[2],)
    past = negative_past = None
    if pairs.teacher == "autoregressive":
        if model.chunk_size is None:
            raise Misdescribed("pairs.teacher 'autoregressive' wants model.chunk_size, found null")
        chunks, past, negative_past = chunk_sizes(eps.shape[2], model.chunk_size), KVCache(), KVCache()
    grid = snapped_grid(pairs.solver_steps, model.shift, model.t_list)
    start, negative = pure_noise(eps, model.times[0], teacher.schedule), for_batch(negative, len(eps))
    caches = {"cache": past, "negative_cache": negative_past}

    def velocity(x_t: Tensor, t: float) -> Tensor:
        times = torch.full((len(x_t),), t, dtype=torch.float64, device=x_t.device)
        return guided_flow(teacher, x_t, times, condition, negative, pairs.guidance, **caches)

    paths, latents = list[Tensor](), list[Tensor]()
    for frames in chunk_slices(chunks):
        path, latent = solve(velocity, start[:, :, frames], grid, pairs.solver, model.times)
        paths.append(path)
        latents.append(latent)
        if frames.stop < eps.shape[2]:
            zero = torch.zeros(len(eps), dtype=torch.float64, device=eps.device)
            flow(teacher, latent, zero, condition, cache=past, write=True)
            if pairs.guidance != 1.0:
                flow(teacher, latent, zero, negative, cache=negative_past, write=True)
    return torch.cat(paths, dim=3), torch.cat(latents, dim=2)
