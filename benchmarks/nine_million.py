"""What the training benchmarks train: a causal Wan student of 9 million parameters on random pairs."""

from collections.abc import Sequence

import torch

from fastgen_k8s.diffusion.draws import KeyedDraws
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.experiments.schema import Ema
from fastgen_k8s.methods.method import Batch, Method, Parts, build
from fastgen_k8s.networks.load import build_student
from fastgen_k8s.training.state import TrainingState, start

EXPERIMENT = get_experiment("closed_form/gaussian_kd").override(
    "model.latent=[16, 6, 4, 4]",
    "model.network={kind: wan, num_layers: 8, num_attention_heads: 4, attention_head_dim: 64, ffn_dim: 1024, "
    "text_dim: 2, freq_dim: 64, patch_size: [1, 1, 1], rope_max_seq_len: 64}",
    "train.global_batch=4",
)


def training(ema: Ema | None = None) -> tuple[Method, TrainingState]:
    """The method and the state before its first step."""
    student, empty = build_student(EXPERIMENT.model, None), {"text": torch.zeros(1, 1, 2)}
    parts = Parts(student, EXPERIMENT.model, None, empty, empty, torch.device("cpu"))
    method = build(EXPERIMENT.method, parts, ema)
    return method, start(method, EXPERIMENT.train, EXPERIMENT.optimisation)


def parameters(method: Method) -> int:
    """How many the student has."""
    return sum(parameter.numel() for parameter in method.roles["student"].parameters())


def batch(step: int, slots: Sequence[int]) -> Batch:
    """Random pairs; made once, for data are not what is measured."""
    return _BATCH


def _batch() -> Batch:
    draws, latent = KeyedDraws(0, 0, range(EXPERIMENT.train.global_batch)), EXPERIMENT.model.latent
    states = EXPERIMENT.model.steps
    path = draws.normal("path", (states, *latent))
    text = torch.eye(2)[torch.arange(EXPERIMENT.train.global_batch) % 2][:, None]  # [B, 1, 2]
    return Batch({"text": text}, draws.normal("x0", latent), path)


_BATCH = _batch()
