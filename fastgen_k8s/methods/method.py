"""What the training loop knows of a method: its roles, whose turn it is, and losses per sample."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn

from fastgen_k8s.diffusion.draws import Draws
from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.network import Condition, Network


@dataclass(frozen=True)
class Batch:
    """One micro-batch; what a method does not use is absent."""

    condition: Condition  # each [B, ...]
    x0: Tensor | None = None  # [B, C, T, H, W], clean
    path: Tensor | None = None  # [B, S, C, T, H, W], states at the S times of t_list above 0


@dataclass(frozen=True)
class Losses:
    """Losses per sample: the loop weighs them (surplus slots by zero) and divides by the global batch."""

    total: Tensor  # [B], with gradient
    terms: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])  # each [B], detached, logged as means


class Method(Protocol):
    """An algorithm: the networks that it trains and uses, and a loss for each kind of turn."""

    roles: Mapping[str, nn.Module]  # trained, by role: "student", "fake_score", "discriminator"
    frozen: Mapping[str, Network]  # used only: "teacher"
    warmup: int  # steps before step 1 (numbered ..., -1, 0)
    streaks: dict[str, int]  # how often in a row each bound of `check` was broken

    def turn(self, step: int) -> tuple[str, ...]:
        """The roles that step `step` updates."""
        ...

    def losses(self, batch: Batch, draws: Draws) -> Losses:
        """Losses of the roles of `turn(draws.step)`; gradients of other roles are the loop's to discard."""
        ...

    def check(self, step: int, logged: Mapping[str, float]) -> None:
        """Raise Unhealthy, with a diagnosis, when the global means of a step's terms break a bound."""
        ...


def for_batch(condition: Condition, size: int) -> Condition:
    """A condition of batch axis 1, such as the negative prompt's, repeated without a copy for a batch."""
    return {name: value.expand(size, *value.shape[1:]) for name, value in condition.items()}


def clean(batch: Batch) -> Tensor:
    """The clean clips of a batch (BadInput)."""
    if batch.x0 is None:
        raise BadInput("the method wants clean latents, found a batch without them")
    return batch.x0
