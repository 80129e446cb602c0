"""Rectified flow: how a clean clip, noise and time make a state, and the conversions between predictions."""

import torch
from torch import Tensor


def shift(t: Tensor, s: float) -> Tensor:
    """Move uniform times towards the noisy end (Esser et al. 2024, arXiv 2403.03206, eq. 23)."""
    return s * t / (1 + (s - 1) * t)


def over_clip(t: Tensor, like: Tensor) -> Tensor:
    """Times [B] or [B, T] as a factor for states [B, C, T, H, W]."""
    frames = t if t.dim() == 2 else t[:, None]  # [B, T] or [B, 1]
    return frames[:, None, :, None, None].to(like.device)


def add_noise(x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
    """x_t = (1 - t) x0 + t eps (Liu et al. 2022, arXiv 2209.03003, eq. 1), computed in float64."""
    u = over_clip(t.double(), x0)
    return ((1 - u) * x0.double() + u * eps.double()).to(x0.dtype)


def flow_to_x0(flow: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """x0 = x_t - t v, computed in float64."""
    return (x_t.double() - over_clip(t.double(), x_t) * flow.double()).to(x_t.dtype)


def flow_to_eps(flow: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """eps = x_t + (1 - t) v, computed in float64."""
    return (x_t.double() + (1 - over_clip(t.double(), x_t)) * flow.double()).to(x_t.dtype)


def x0_to_flow(x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """v = (x_t - x0) / t for t > 0, computed in float64."""
    return ((x_t.double() - x0.double()) / over_clip(t.double(), x_t)).to(x_t.dtype)


def x0_to_eps(x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """eps = (x_t - (1 - t) x0) / t for t > 0, computed in float64."""
    u = over_clip(t.double(), x_t)
    return ((x_t.double() - (1 - u) * x0.double()) / u).to(x_t.dtype)


def eps_to_x0(eps: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """x0 = (x_t - t eps) / (1 - t) for t < 1, computed in float64."""
    u = over_clip(t.double(), x_t)
    return ((x_t.double() - u * eps.double()) / (1 - u)).to(x_t.dtype)


def eps_to_flow(eps: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """v = (eps - x_t) / (1 - t) for t < 1, computed in float64."""
    return ((eps.double() - x_t.double()) / (1 - over_clip(t.double(), x_t))).to(x_t.dtype)


def draw_times(uniform: Tensor, s: float, low: float, high: float) -> Tensor:
    """Times for matching losses: u in [0, 1) is stretched to [low, high], shifted by s, and clamped to the range."""
    return shift(low + (high - low) * uniform, s).clamp(low, high)


def uniform_grid(steps: int, s: float, start: float) -> Tensor:
    """The solver's shifted uniform grid [steps + 1] in float64, from `start` down to 0."""
    grid = shift(torch.linspace(1, 0, steps + 1, dtype=torch.float64), s)
    grid[0] = start
    return grid
