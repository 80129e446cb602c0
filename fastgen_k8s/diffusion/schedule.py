"""How a clean clip, noise and time make a state, and what a flow v = eps - x0 says of both, on any schedule.

Every network returns that flow, whatever its family was trained to say: a + s is never small, so nothing is divided by
a small number. On rectified flow a + s is 1, in float64 for every t exactly: dividing by it changes no bit.
"""

from typing import Protocol

import torch
from torch import Tensor


class Schedule(Protocol):
    """How much of a state x_t = a x0 + s eps is the clean clip and how much is noise."""

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """a and s at times t in [0, 1], all of one shape and in float64: 1 and 0 at t = 0, and a + s at least 1."""
        ...


class RectifiedFlow:
    """a = 1 - t and s = t (Liu et al. 2022, arXiv 2209.03003, eq. 1)."""

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """As `Schedule` says."""
        return 1 - t, t


RECTIFIED_FLOW: Schedule = RectifiedFlow()


def shift(t: Tensor, s: float) -> Tensor:
    """Move uniform times towards the noisy end (Esser et al. 2024, arXiv 2403.03206, eq. 23)."""
    return s * t / (1 + (s - 1) * t)


def over_clip(schedule: Schedule, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """a and s at times [B] or [B, T] as factors for states [B, C, T, H, W]."""
    frames = (t if t.dim() == 2 else t[:, None])[:, None, :, None, None]  # [B, 1, T or 1, 1, 1]
    return schedule.coefficients(frames.double().to(like.device))


def add_noise(x0: Tensor, eps: Tensor, t: Tensor, schedule: Schedule = RECTIFIED_FLOW) -> Tensor:
    """x_t = a x0 + s eps, computed in float64."""
    a, s = over_clip(schedule, t, x0)
    return (a * x0.double() + s * eps.double()).to(x0.dtype)


def pure_noise(eps: Tensor, t: float, schedule: Schedule = RECTIFIED_FLOW) -> Tensor:
    """x_t = s eps: where a student and a solver begin, with no clip in it."""
    _, s = schedule.coefficients(torch.tensor(t, dtype=torch.float64))
    return float(s) * eps


def flow_to_x0(flow: Tensor, x_t: Tensor, t: Tensor, schedule: Schedule = RECTIFIED_FLOW) -> Tensor:
    """x0 = (x_t - s v) / (a + s), computed in float64."""
    a, s = over_clip(schedule, t, x_t)
    return ((x_t.double() - s * flow.double()) / (a + s)).to(x_t.dtype)


def flow_to_eps(flow: Tensor, x_t: Tensor, t: Tensor, schedule: Schedule = RECTIFIED_FLOW) -> Tensor:
    """eps = (x_t + a v) / (a + s), computed in float64."""
    a, s = over_clip(schedule, t, x_t)
    return ((x_t.double() + a * flow.double()) / (a + s)).to(x_t.dtype)


def draw_times(uniform: Tensor, s: float, low: float, high: float) -> Tensor:
    """Times for matching losses: u in [0, 1) is stretched to [low, high], shifted by s, and clamped to the range."""
    return shift(low + (high - low) * uniform, s).clamp(low, high)


def uniform_grid(steps: int, s: float, start: float) -> Tensor:
    """The solver's shifted uniform grid [steps + 1] in float64, from `start` down to 0."""
    grid = shift(torch.linspace(1, 0, steps + 1, dtype=torch.float64), s)
    grid[0] = start
    return grid
