"""What the training loop knows of a method: data and functions, and how the table's builders are called."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from fastgen_k8s.diffusion.draws import Draws
from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments.method import METHODS
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.experiments.needs import MethodSettings
from fastgen_k8s.experiments.schema import Ema
from fastgen_k8s.methods.health import Bounds
from fastgen_k8s.networks.network import Condition, Network


@dataclass(frozen=True)
class Batch:
    """One micro-batch; what a method does not use is absent."""

    condition: Condition  # each [B, ...]
    x0: Tensor | None = None  # [B, C, T, H, W], clean
    path: Tensor | None = None  # [B, S, C, T, H, W], states at the S times of t_list above 0


class Losses(NamedTuple):
    """Losses per sample: the loop weighs them (surplus slots by zero) and divides by the global batch."""

    loss: Tensor  # [B], whose gradient the roles of the turn follow
    terms: Mapping[str, Tensor]  # each [B], logged as means


@dataclass(frozen=True)
class Target:
    """The average of a role's weights over its own updates."""

    decay: Ema
    network: Network | None = None  # that holds it, for the losses to call; None: it is kept for checkpoints only


@dataclass(frozen=True)
class Method:
    """An algorithm: the networks that it trains, and the losses of those whose turn it is."""

    roles: Mapping[str, nn.Module]  # trained: "student", "fake_score", "discriminator"
    losses: Callable[[Batch, Draws], Losses]  # of the roles of `turn(draws.step)`; the loop drops others' gradients
    turn: Callable[[int], tuple[str, ...]] = lambda _: ("student",)  # the roles that a step updates
    frozen: Sequence[Network] = ()  # used only: a teacher, the network of a target
    targets: Mapping[str, Target] = field(default_factory=dict[str, Target])  # by the role whose average each is
    warmup: int = 0  # steps before step 1 (numbered ..., -1, 0)
    bounds: Bounds | None = None  # on the means of a step's terms


@dataclass(frozen=True)
class Parts:
    """What a method is built of."""

    student: Network
    model: Model
    folder: Path | None  # the teacher's, where the method needs it or it is given
    negative: Condition  # of batch axis 1
    empty: Condition  # of batch axis 1
    device: torch.device


def build(settings: MethodSettings, parts: Parts, ema: Ema | None) -> Method:
    """The method of the table, and beside its own averages that of the student where one is asked for."""
    builder = cast("Callable[[MethodSettings, Parts], Method]", resolve_name(METHODS[type(settings)]))
    method = builder(settings, parts)
    return method if ema is None else replace(method, targets={"student": Target(ema), **method.targets})


def given(value: Tensor | None, what: str) -> Tensor:
    """What a method wants of its batch (BadInput)."""
    if value is None:
        raise BadInput(f"the method wants {what}, found a batch without them")
    return value


def for_batch(condition: Condition, size: int) -> Condition:
    """A condition of batch axis 1, such as the negative prompt's, repeated without a copy for a batch."""
    return {name: value.expand(size, *value.shape[1:]) for name, value in condition.items()}
