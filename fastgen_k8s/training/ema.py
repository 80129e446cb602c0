"""The average of a role's weights over its own updates."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fastgen_k8s.experiments.schema import Ema
from fastgen_k8s.methods.method import Target
from fastgen_k8s.training.parallel import forget_gathered, local


class Average:
    """A role's average by the names of its parameters, held in the network of its target where that has one."""

    def __init__(self, target: Target, weights: Mapping[str, Tensor]) -> None:
        self.decay, self.network = target.decay, target.network
        self.means = {name: value.detach().clone() for name, value in weights.items()}
        if self.network is not None:
            held = dict(self.network.named_parameters())
            self.means = {name: held[name].detach() for name in weights}
            self._move(list(weights.values()), 0.0)

    def follow(self, weights: Sequence[Tensor], update: int) -> None:
        """Take in what update n = 0, 1, ... of the role has made of its weights."""
        self._move(weights, decay_at(self.decay, update))

    def _move(self, weights: Sequence[Tensor], decay: float) -> None:
        average(list(self.means.values()), weights, decay)
        if self.network is not None:
            forget_gathered(self.network)


def decay_at(settings: Ema, update: int) -> float:
    """The decay at update n = 0, 1, ...: min(decay, (n + 1) / (n + ramp)), and 0 before `start`."""
    if update < settings.start:
        return 0.0
    if settings.ramp == 0:
        return settings.decay
    return min(settings.decay, (update + 1) / (update + settings.ramp))


@torch.no_grad()
def average(means: Sequence[Tensor], weights: Sequence[Tensor], decay: float) -> None:
    """mean <- decay mean + (1 - decay) weight, in place (Polyak & Juditsky 1992, exponentially weighted)."""
    get_ema_multi_avg_fn(decay)([local(mean) for mean in means], [local(weight) for weight in weights], 0)
