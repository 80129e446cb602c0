"""The average of a student's weights over its own updates."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fastgen_k8s.experiments.schema import Ema
from fastgen_k8s.training.parallel import local


def decay_at(settings: Ema, update: int) -> float:
    """The decay at student update n = 0, 1, ...: min(decay, (n + 1) / (n + ramp)), and 0 before `start`."""
    if update < settings.start:
        return 0.0
    if settings.ramp == 0:
        return settings.decay
    return min(settings.decay, (update + 1) / (update + settings.ramp))


@torch.no_grad()
def average(means: Sequence[Tensor], weights: Sequence[Tensor], decay: float) -> None:
    """mean <- decay mean + (1 - decay) weight, in place (Polyak & Juditsky 1992, exponentially weighted)."""
    get_ema_multi_avg_fn(decay)([local(mean) for mean in means], [local(weight) for weight in weights], 0)
