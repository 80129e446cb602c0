"""The exact teacher of clips x_{k+1} = a R(angle) x_k + sqrt(1 - a^2) n of unit variance: all Gaussian.

A clip of T frames of D numbers is a vector [T * D], frame by frame. Its flow at (x_t, t) is the posterior mean of
eps - x0; a chunk after others has the conditional law of its frames given the clean past.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.experiments.families.gaussian_rotation import GaussianRotation
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.networks.by_kind import Family
from fastgen_k8s.networks.closed_form import (
    ClosedFormFamily,
    clean_past,
    one_label_each,
    one_time,
    prompt_prior,
    remember,
)
from fastgen_k8s.networks.network import Condition, KVCache, Network, Output


@dataclass(frozen=True)
class Law:
    """N(gain @ past, basis diag(variances) basis') of some frames, given the frames before them."""

    gain: Tensor  # [n, m]
    basis: Tensor  # [n, n]
    variances: Tensor  # [n]

    def to(self, device: torch.device) -> "Law":
        """The same law on another device."""
        return Law(self.gain.to(device), self.basis.to(device), self.variances.to(device))


def rotation(angle: float, channels: int) -> Tensor:
    """R(angle) [D, D], which turns each plane of two channels."""
    cos, sin = math.cos(angle), math.sin(angle)
    plane = torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
    return torch.kron(torch.eye(channels // 2, dtype=torch.float64), plane)


def covariance(a: float, angle: float, channels: int, frames: int) -> Tensor:
    """Cov(x_i, x_j) = a^|i-j| R((i - j) angle), as one matrix [T * D, T * D]."""
    whole = torch.zeros(frames, channels, frames, channels, dtype=torch.float64)
    for i in range(frames):
        for j in range(frames):
            whole[i, :, j] = a ** abs(i - j) * rotation((i - j) * angle, channels)
    return whole.reshape(frames * channels, frames * channels)


@lru_cache(maxsize=256)
def law(a: float, angle: float, channels: int, begin: int, end: int) -> Law:
    """The law of the frames begin..end-1 given the frames before: S_qo S_oo^-1 and S_qq - S_qo S_oo^-1 S_oq."""
    whole, past = covariance(a, angle, channels, end).numpy(), begin * channels
    gain = np.linalg.solve(whole[:past, :past], whole[:past, past:]).T  # [n, m]
    variances, basis = np.linalg.eigh(whole[past:, past:] - gain @ whole[:past, past:])
    return Law(torch.tensor(gain), torch.tensor(basis), torch.tensor(variances))


def as_vectors(x: Tensor) -> Tensor:
    """Clips [B, D, T, 1, 1] as vectors [B, T * D] in float64."""
    return x.double().flatten(2).transpose(1, 2).flatten(1)


def as_clips(vectors: Tensor, channels: int) -> Tensor:
    """Vectors [B, T * D] as clips [B, D, T, 1, 1]."""
    return vectors.reshape(len(vectors), -1, channels).transpose(1, 2)[..., None, None]


def noised_variances(variances: Tensor, t: Tensor) -> Tensor:
    """(1 - t)^2 lam + t^2: the variances [B, n] of x_t along the basis, at times [B]."""
    return (1 - t)[:, None] ** 2 * variances + t[:, None] ** 2


def exact_path(start: Tensor, angle: float, a: float, times: Sequence[float]) -> Tensor:
    """The ODE's states [B, S, D, T, 1, 1] at `times` from `start` [B, D, T, 1, 1] at times[0].

    x_t = U diag(sqrt(((1 - t)^2 lam + t^2) / ((1 - s)^2 lam + s^2))) U' x_s.
    """
    its = law(a, angle, start.shape[1], 0, start.shape[2])
    spread = noised_variances(its.variances, torch.tensor(times, dtype=torch.float64)).sqrt()  # [S, n]
    along = as_vectors(start) @ its.basis  # [B, n]
    return torch.stack([as_clips(along * ratio @ its.basis.T, start.shape[1]) for ratio in spread / spread[0]], dim=1)


class GaussianTeacher(Network):
    """The exact flow; without a prompt, that of the even mixture over all prompts."""

    def __init__(self, a: float, angles: Sequence[float], channels: int) -> None:
        super().__init__()
        self.a, self.angles, self.channels = a, tuple(angles), channels
        self.blocks = nn.ModuleList()

    def forward(
        self,
        x_t: Tensor,
        t: Tensor,
        condition: Condition,
        *,
        cache: KVCache | None = None,
        write: bool = False,
        blocks: Sequence[int] = (),
    ) -> Output:
        """The posterior mean of eps - x0, given the clean frames in the cache."""
        if len(blocks) > 0:
            raise Misdescribed("a Gaussian teacher has no blocks, found the wish for features of some")
        time, past = one_time(t), clean_past(cache, x_t)
        x, z = as_vectors(x_t), as_vectors(past)
        flows, evidence = zip(*[self._given(angle, x, z, time) for angle in self.angles], strict=True)
        weights = (prompt_prior(condition) + torch.stack(evidence, dim=1)).softmax(dim=1)  # [B, P]
        mean = (weights[:, :, None] * torch.stack(flows, dim=1)).sum(1)
        remember(cache, x_t, time, write)
        return Output(as_clips(mean, self.channels).to(x_t.dtype))

    def _given(self, angle: float, x: Tensor, past: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """For one prompt: the flow [B, n] at x [B, n], and log p(past, x_t) [B]."""
        begin = past.shape[1] // self.channels
        its = law(self.a, angle, self.channels, begin, begin + x.shape[1] // self.channels).to(x.device)
        mean = past @ its.gain.T  # [B, n], of x0
        along = (x - (1 - t)[:, None] * mean) @ its.basis
        variance = noised_variances(its.variances, t)
        slope = (t[:, None] - (1 - t)[:, None] * its.variances) / variance  # E[eps - x0 | x_t] along the basis
        before = law(self.a, angle, self.channels, 0, begin).to(x.device)
        evidence = log_normal(along, variance) + log_normal(past @ before.basis, before.variances)
        return along * slope @ its.basis.T - mean, evidence


def log_normal(z: Tensor, variance: Tensor) -> Tensor:
    """log N(z; 0, diag variance) [B] up to a constant."""
    return -0.5 * (z**2 / variance + variance.log()).sum(-1)


def exact(settings: GaussianRotation, model: Model) -> GaussianTeacher:
    """The teacher of a model; Misdescribed when they do not fit."""
    if model.latent[0] % 2:
        raise Misdescribed(f"a Gaussian rotation turns planes and wants an even latent[0], found {model.latent[0]}")
    one_label_each(model, len(settings.angles))
    return GaussianTeacher(settings.a, settings.angles, model.latent[0])


FAMILY: Family = ClosedFormFamily(exact)
