"""Seconds per clip of teacher and student, side by side on the machine that makes the report."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from fastgen_k8s.data.conditions import to_device
from fastgen_k8s.data.pairs import noise
from fastgen_k8s.diffusion.draws import KeyedDraws
from fastgen_k8s.experiments.method import Rollout
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.experiments.schema import Pairs
from fastgen_k8s.methods.rollout import sample
from fastgen_k8s.methods.trajectory import trajectory
from fastgen_k8s.networks.device import local_device
from fastgen_k8s.networks.load import build_student, build_teacher
from fastgen_k8s.networks.network import Condition, Network

BATCHES = (1, 16)
ROUNDS = 3


@dataclass(frozen=True)
class Speed:
    """Medians of alternating rounds at one batch size."""

    batch: int
    teacher: float  # seconds per clip
    student: float

    @property
    def ratio(self) -> float:
        """How many times faster the student is."""
        return self.teacher / self.student


def speeds(model: Model, pairs: Pairs, condition: Condition, negative: Condition, folder: Path | None) -> list[Speed]:
    """The teacher as it makes pairs against a student of its size, for as many prompts as the largest batch.

    Weights do not matter to the time, so the student is not read.
    """
    device = local_device()
    teacher, student = build_teacher(model, folder).to(device), build_student(model, folder).to(device)
    return [_speed(teacher, student, model, pairs, condition, negative, batch) for batch in BATCHES]


def _speed(
    teacher: Network,
    student: Network,
    model: Model,
    pairs: Pairs,
    condition: Condition,
    negative: Condition,
    batch: int,
) -> Speed:
    device = local_device()
    eps = torch.stack([noise(0, number, model.latent) for number in range(batch)]).to(device)
    given = to_device({name: value[:batch] for name, value in condition.items()}, device)
    against = to_device(negative, device)
    draws = KeyedDraws(0, 0, range(batch), device)
    slow, fast = alternating(
        lambda: trajectory(teacher, eps, given, against, model, pairs),
        lambda: sample(student, eps, given, model, draws, Rollout()),
    )
    return Speed(batch, slow / batch, fast / batch)


def alternating(one: Callable[[], object], other: Callable[[], object], rounds: int = ROUNDS) -> tuple[float, float]:
    """Median seconds of two functions, called in turns so that both meet the same busy machine; one turn warms up."""
    taken = [(seconds(one), seconds(other)) for _ in range(rounds + 1)][1:]
    return median(first for first, _ in taken), median(second for _, second in taken)


def seconds(function: Callable[[], object]) -> float:
    """Wall time of one call, to the end of its work on the device."""
    started = time.perf_counter()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started
