"""The one training loop: exactly so many steps of any method, on any number of processes, on the same batches."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from fastgen_k8s.artifacts.metrics import LOSS
from fastgen_k8s.diffusion.draws import KeyedDraws
from fastgen_k8s.errors import Misdescribed, Unhealthy
from fastgen_k8s.experiments.schema import Train
from fastgen_k8s.methods.method import Batch, Method
from fastgen_k8s.training.parallel import World, add_up, norm_squared
from fastgen_k8s.training.state import TrainingState

Batches = Callable[[int, Sequence[int]], Batch]
"""The micro-batch of some slots of a step, on the device."""

ALONE = World()


class Share(NamedTuple):
    """One micro-batch of one process: its slots in the global batch, and which of them count."""

    slots: tuple[int, ...]
    weights: tuple[float, ...]  # 0 for surplus slots, which repeat real ones


@dataclass(frozen=True)
class StepReport:
    """What a step came to, the same on all ranks."""

    step: int
    losses: Mapping[str, float]  # means over the global batch: the one that is followed and the method's terms
    norms: Mapping[str, float]  # of the gradient of each role of the turn, before clipping
    rates: Mapping[str, float]  # learning rates; none for a step left out
    flags: Sequence[int]  # how many ranks raised each of the watch's flags


class Watch(Protocol):
    """What goes on around a step: stopping, saving, logging."""

    def flags(self) -> Sequence[bool]:
        """What this rank wants all ranks to know at the end of this step; always as many."""
        ...

    def after(self, state: TrainingState, report: StepReport) -> None:
        """Act on a finished step; all ranks get the same report. May raise Stopped."""
        ...


def shares(global_batch: int, micro_batch: int | None, world: World) -> list[Share]:
    """The micro-batches of this process: every process has as many, so that all run the same collectives."""
    if world.size > global_batch:
        raise Misdescribed(f"wanted at most train.global_batch = {global_batch} processes, found {world.size}")
    micro = micro_batch or math.ceil(global_batch / world.size)
    count = math.ceil(global_batch / (micro * world.size))  # accumulation
    starts = [(turn * world.size + world.rank) * micro for turn in range(count)]
    return [
        Share(
            tuple(slot % global_batch for slot in range(start, start + micro)),
            tuple(float(slot < global_batch) for slot in range(start, start + micro)),
        )
        for start in starts
    ]


def train(
    method: Method,
    state: TrainingState,
    settings: Train,
    batches: Batches,
    *,
    world: World = ALONE,
    micro_batch: int | None = None,
    watch: Watch | None = None,
) -> TrainingState:
    """Train to step `settings.steps`, from wherever `state` is."""
    parts = shares(settings.global_batch, micro_batch, world)
    for step in range(state.step + 1, settings.steps + 1):
        for role in state.roles.values():
            role.forget_gradients()
        sums = _accumulate(method, step, settings, batches, parts, world)
        flags = () if watch is None else watch.flags()
        report = _reduce(method.turn(step), state, step, sums, flags, world)
        if wrong := _wrong(report):
            if not settings.skip_batch:
                raise Unhealthy(wrong)
        else:
            rates = {name: state.update(name, norm) for name, norm in report.norms.items()}
            report = StepReport(step, report.losses, report.norms, rates, report.flags)
            if method.bounds is not None:
                method.bounds.check(step, report.losses)
        state.step = step
        if watch is not None:
            watch.after(state, report)
    return state


def _accumulate(
    method: Method, step: int, settings: Train, batches: Batches, parts: Sequence[Share], world: World
) -> dict[str, Tensor]:
    """Run every micro-batch forward and backward; this process's part of the means of the losses."""
    sums: dict[str, Tensor] = {}
    for slots, weights in parts:
        losses = method.losses(batches(step, slots), KeyedDraws(settings.seed, step, slots, world.device))
        share = torch.tensor(weights, device=world.device) / settings.global_batch  # [B]
        mean = (losses.loss * share).sum()
        torch.autograd.backward(mean * world.size)  # FSDP2 averages gradients over processes
        for name, value in {LOSS: losses.loss, **losses.terms}.items():
            part = (value.detach() * share).sum().double()
            sums[name] = sums[name] + part if name in sums else part
    return sums


def _reduce(
    turn: Sequence[str],
    state: TrainingState,
    step: int,
    sums: Mapping[str, Tensor],
    flags: Sequence[bool],
    world: World,
) -> StepReport:
    """Add up losses, squared gradient norms and flags over all processes, in one collective."""
    squares = [norm_squared(state.roles[name].gradients()) for name in turn]
    raised = torch.tensor([float(flag) for flag in flags], dtype=torch.float64, device=world.device)
    added = add_up(world, torch.cat([torch.stack([*sums.values(), *squares]), raised]))
    losses = dict(zip(sums, added, strict=False))
    norms = {name: math.sqrt(square) for name, square in zip(turn, added[len(losses) :], strict=False)}
    return StepReport(step, losses, norms, {}, [round(count) for count in added[len(losses) + len(norms) :]])


def _wrong(report: StepReport) -> str | None:
    """What is not finite, with the step and the term."""
    if not math.isfinite(report.losses[LOSS]):
        terms = ", ".join(f"{name} = {value:g}" for name, value in report.losses.items() if not math.isfinite(value))
        return f"step {report.step}: wanted a finite loss, found {terms}"
    for name, norm in report.norms.items():
        if not math.isfinite(norm):
            return f"step {report.step}: wanted a finite gradient of the {name}, found norm {norm:g}"
    return None
