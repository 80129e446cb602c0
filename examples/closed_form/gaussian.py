"""How well clips follow the Gaussian rotation (task A), and the error that no causal student can be below.

`closed_form/gaussian_*` name `measure` as the metric of their report.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastgen_k8s.diffusion.chunks import chunk_slices
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.experiments.encoders import Labels
from fastgen_k8s.experiments.families.gaussian_rotation import GaussianRotation
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.experiments.schema import Experiment
from fastgen_k8s.methods.rollout import sizes
from fastgen_k8s.networks.gaussian_rotation import as_vectors, covariance, law, noised_variances

Matrix = NDArray[np.float64]


def measure(experiment: Experiment, latents: Tensor, prompts: Sequence[str]) -> dict[str, float]:
    """W2^2 to the exact law, mean over prompts, and the variance per chunk (exact: 1), of clips [N, D, T, 1, 1]."""
    model = experiment.model
    teacher, labels = _settings(model)
    distances = list[float]()
    for label, angle in zip(labels, teacher.angles, strict=True):
        chosen = latents[[index for index, prompt in enumerate(prompts) if prompt == label]]
        if len(chosen) > 1:
            exact = covariance(teacher.a, angle, model.latent[0], model.latent[1])
            distances.append(wasserstein(as_vectors(chosen).numpy(), exact.numpy()))
    spans = _spans(model)
    variances = {f"variance_chunk{k}": float(latents[:, :, frames].square().mean()) for k, frames in enumerate(spans)}
    return {"w2": float(np.mean(distances)), **variances}


def wasserstein(clips: Matrix, exact: Matrix) -> float:
    """|m|^2 + tr(C + S - 2 (S^1/2 C S^1/2)^1/2) of N(m, C) fitted to clips [N, n] and N(0, S) (Gelbrich 1990).

    With N clips the estimate is too large by about (n + n^2 / 4) / N even for exact ones of unit variance.
    """
    mean, fitted, half = clips.mean(0), np.cov(clips, rowvar=False), root(exact)
    return float(mean @ mean + np.trace(fitted + exact - 2 * root(half @ fitted @ half)))


def root(matrix: Matrix) -> Matrix:
    """The square root of a symmetric matrix without negative eigenvalues."""
    values, basis = np.linalg.eigh(matrix)
    return basis * np.sqrt(values.clip(0)) @ basis.T


def floors(model: Model) -> Matrix:
    """The least mean error [S, K] of CausalKD on a bidirectional teacher's exact paths, all chunks at one time.

    With M_t the map from the noise to x_t, o the frames up to chunk k and q chunk k of x0, it is
    tr(S_qq - S_qo S_oo^-1 S_oq) / dim: what the noise of later frames decides cannot be seen.
    """
    angles = _settings(model)[0].angles
    return np.mean([[_floor(model, angle, t) for t in model.times] for angle in angles], axis=0)


def _floor(model: Model, angle: float, t: float) -> list[float]:
    noised, clean = _map(model, angle, t), _map(model, angle, 0.0)
    errors = list[float]()
    for frames in _spans(model):
        o, q = (
            noised[: frames.stop * model.latent[0]],
            clean[frames.start * model.latent[0] : frames.stop * model.latent[0]],
        )
        seen = q @ o.T @ np.linalg.solve(o @ o.T, o @ q.T)
        errors.append(float(np.trace(q @ q.T - seen) / len(q)))
    return errors


def _map(model: Model, angle: float, t: float) -> Matrix:
    """M_t [n, n] from the noise to the state at t of the ODE that starts at max_t times the noise."""
    its = law(_settings(model)[0].a, angle, model.latent[0], 0, model.latent[1])
    spread = noised_variances(its.variances, torch.tensor([t, model.max_t], dtype=torch.float64)).sqrt()  # [2, n]
    basis = its.basis.numpy()
    return basis * (model.max_t * spread[0] / spread[1]).numpy() @ basis.T


def _spans(model: Model) -> tuple[slice, ...]:
    return chunk_slices(sizes(model, model.latent[1]))


def _settings(model: Model) -> tuple[GaussianRotation, tuple[str, ...]]:
    if not isinstance(model.teacher, GaussianRotation) or not isinstance(model.text, Labels):
        raise Misdescribed("the Gaussian metric wants model.teacher 'gaussian_rotation' with labels, found another")
    return model.teacher, model.text.labels
