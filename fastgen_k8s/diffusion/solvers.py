"""Solving the teacher's probability-flow ODE dx/dt = v(x, t) on a grid that contains every wanted time exactly."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from fastgen_k8s.diffusion.schedule import uniform_grid
from fastgen_k8s.diffusion.unipc import unipc
from fastgen_k8s.errors import Misdescribed

Velocity = Callable[[Tensor, float], Tensor]
"""The flow v = eps - x0 at a state [B, ...] and one time."""

Solver = Literal["unipc", "heun", "euler"]


def snapped_grid(steps: int, shift: float, t_list: Sequence[float]) -> Tensor:
    """The shifted uniform grid [steps + 1] in float64 from t_list[0] to 0, its nearest nodes moved to the other times.

    So no network evaluation is added, and a state is kept at exactly the time that was asked for. Misdescribed when two
    times want the same node, or a time wants an end of the grid.
    """
    grid = uniform_grid(steps, shift, t_list[0])
    nodes = [int((grid - time).abs().argmin()) for time in t_list]
    if any(a >= b for a, b in pairwise(nodes)):
        times = ", ".join(f"{time:g}" for time in t_list)
        raise Misdescribed(f"wanted a node of its own for each time {times}, found nodes {nodes} of {steps} steps")
    grid[nodes] = torch.tensor(t_list, dtype=torch.float64)
    if not bool((grid.diff() < 0).all()):
        raise Misdescribed(
            f"wanted a grid that descends from {t_list[0]:g}, found {grid[1]:g} after it: {steps} steps are too many"
        )
    return grid


def solve(velocity: Velocity, x: Tensor, grid: Tensor, solver: Solver, keep: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Integrate from the state x [B, ...] at grid[0] to grid[-1] = 0, in at least fp32.

    Returns the states [B, S, ...] at the `keep` times, each of which is a node, and the end [B, ...].
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    times = [float(t) for t in grid]
    states = dict(zip(times, STEPS[solver](velocity, x, times), strict=True))
    return torch.stack([states[time] for time in keep], dim=1), states[times[-1]]


def euler(velocity: Velocity, x: Tensor, times: Sequence[float]) -> Iterator[Tensor]:
    """x(t') = x(t) + (t' - t) v(x, t): order 1."""
    yield x
    for t, s in pairwise(times):
        x = x + (s - t) * velocity(x, t)
        yield x


def heun(velocity: Velocity, x: Tensor, times: Sequence[float]) -> Iterator[Tensor]:
    """The trapezoid with a predicted end, order 2; the last step is Euler's (Karras et al. 2022, arXiv 2206.00364,
    alg. 1), for no network is trained at t = 0."""
    yield x
    for t, s in pairwise(times):
        v = velocity(x, t)
        predicted = x + (s - t) * v
        x = predicted if s == 0 else x + (s - t) * (v + velocity(predicted, s)) / 2
        yield x


STEPS: dict[Solver, Callable[[Velocity, Tensor, Sequence[float]], Iterator[Tensor]]] = {
    "unipc": unipc,
    "heun": heun,
    "euler": euler,
}
