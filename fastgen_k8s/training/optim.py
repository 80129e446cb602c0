"""AdamW for one role, with a schedule over that role's own updates."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from fastgen_k8s.experiments.schema import Optimiser


def adamw(parameters: Sequence[nn.Parameter], settings: Optimiser) -> torch.optim.AdamW:
    """Decoupled weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101), with its state present from the start.

    The state exists before the first update so that a checkpoint has the same tensors at every step.
    """
    optimiser = torch.optim.AdamW(
        parameters,
        lr=settings.lr,
        betas=settings.betas,
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        fused=True,  # one call for all parameters: on sharded ones the loop of the default costs 8 times as much
    )
    for parameter in parameters:
        optimiser.state[parameter] = {
            "step": torch.zeros((), device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
    return optimiser


def learning_rate(settings: Optimiser, update: int, planned: int) -> float:
    """The rate of update 0, 1, ... of `planned`: linear warm-up, then constant, or constant and a cosine to zero.

    The cosine is that of Loshchilov & Hutter 2017 (arXiv 1608.03983, eq. 5) with a floor of zero.
    """
    if update < settings.warmup:
        return settings.lr * (update + 1) / settings.warmup
    if settings.decay == "constant":
        return settings.lr
    after = max(1, planned - settings.warmup)  # updates that follow the warm-up
    held = settings.hold * after
    done = max(0.0, update - settings.warmup - held) / max(1.0, after - held)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
