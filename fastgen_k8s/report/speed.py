"""Seconds per clip of teacher and student, side by side on the machine that makes the report."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from fastgen_k8s.data.conditions import Conditions, repeat, to_device
from fastgen_k8s.data.pairs import PairIndex, noise
from fastgen_k8s.diffusion.draws import KeyedDraws
from fastgen_k8s.experiments.schema import Model, Pairs
from fastgen_k8s.methods.rollout import sample
from fastgen_k8s.methods.trajectory import trajectory
from fastgen_k8s.networks.device import local_device
from fastgen_k8s.networks.load import build_student, build_teacher

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


def speeds(model: Model, pairs: PairIndex, conditions: Conditions, folder: Path | None) -> list[Speed]:
    """Teacher, as it made its pairs, against a student of its size; weights do not matter to the time."""
    settings = Pairs(solver_steps=pairs.solver_steps, guidance=pairs.guidance).model_copy(
        update={"solver": pairs.solver, "teacher": pairs.teacher}
    )
    device = local_device()
    teacher, student = build_teacher(model, folder).to(device), build_student(model, folder).to(device)
    found: list[Speed] = []
    for batch in BATCHES:
        eps = torch.stack([noise(0, number, model.latent) for number in range(batch)]).to(device)
        condition = to_device(conditions.batch([number % len(conditions) for number in range(batch)]), device)
        negative = to_device(repeat(conditions.negative, batch), device)
        draws = KeyedDraws(0, 0, range(batch), device)
        times = alternating(
            lambda: trajectory(teacher, eps, condition, negative, model, settings),  # noqa: B023 called at once
            lambda: sample(student, eps, condition, model, draws),  # noqa: B023
        )
        found.append(Speed(batch, times[0] / batch, times[1] / batch))
    return found


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
