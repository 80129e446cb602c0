"""A method of two small roles with one parameter vector each: enough for the loop, and quick."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from fastgen_k8s.diffusion.draws import Draws, generator, seeded
from fastgen_k8s.experiments.method import Health
from fastgen_k8s.experiments.schema import Ema, Optimisation, Optimiser, Train
from fastgen_k8s.methods.health import Bounds
from fastgen_k8s.methods.method import Batch, Losses, Method, Target
from fastgen_k8s.training.loop import Batches
from fastgen_k8s.training.state import TrainingState, start

FEATURES = 5
OPTIMISATION = Optimisation(student=Optimiser(lr=0.05), fake_score=Optimiser(lr=0.01), discriminator=Optimiser())


class Counted(Bounds):
    """Bounds that nothing breaks, and which remember what they were asked of."""

    def __init__(self) -> None:
        super().__init__(Health())
        self.streaks = {"checks": 0}
        self.checked: list[int] = []

    def check(self, step: int, logged: Mapping[str, float]) -> None:
        """Remember that the step was checked."""
        self.checked.append(step)
        self.streaks["checks"] += 1


class Toy:
    """Two linear maps that learn the same target in turn; the student's loss leaves a gradient on the other role."""

    def __init__(self, *, student_every: int = 2, warmup: int = 0, spoil: Mapping[int, float] = {}) -> None:
        with seeded("toy"):
            self.student, self.critic = nn.Linear(FEATURES, 1), nn.Linear(FEATURES, 1)
        self.roles: Mapping[str, nn.Module] = {"student": self.student, "fake_score": self.critic}
        self.warmup, self.student_every, self.spoil = warmup, student_every, dict(spoil)
        self.seen: list[tuple[int, tuple[float, ...]]] = []  # step and the noise of its slots
        self.bounds = Counted()

    def method(self, ema: Ema | None = None) -> Method:
        """The loop's view of it."""
        targets = {} if ema is None else {"student": Target(ema)}
        return Method(self.roles, self.losses, self.turn, (), targets, self.warmup, self.bounds)

    def turn(self, step: int) -> tuple[str, ...]:
        """The student's at each multiple of `student_every`."""
        return ("student",) if step > 0 and step % self.student_every == 0 else ("fake_score",)

    def losses(self, batch: Batch, draws: Draws) -> Losses:
        """(prediction - sum of the inputs)^2 with noise on the inputs."""
        noise = draws.normal("noise", (FEATURES,))
        self.seen.append((draws.step, tuple(float(value) for value in noise[:, 0])))
        x = batch.condition["x"] + 0.1 * noise  # [B, FEATURES]
        wanted = x.sum(dim=1)
        total = (self.student(x).squeeze(1) - wanted) ** 2  # [B]
        if "student" in self.turn(draws.step):
            total = total + 0 * (self.critic(x).squeeze(1) ** 2)
        else:
            total = (self.critic(x).squeeze(1) - wanted) ** 2 + 0 * total
        total = total * self.spoil.get(draws.step, 1.0)
        return Losses(total, {"error": total.sqrt()})


def batches(step: int, slots: Sequence[int]) -> Batch:
    """Inputs that are a function of (step, slot)."""
    return Batch({"x": torch.stack([_row(step, slot) for slot in slots])})


def _row(step: int, slot: int) -> Tensor:
    return torch.randn(FEATURES, generator=generator("toy", step, slot))


def fresh(toy: Toy, train: Train) -> TrainingState:
    """The state before the first step."""
    return start(toy.method(train.ema), train, OPTIMISATION)


def weights(toy: Toy) -> Tensor:
    """All weights of both roles."""
    return torch.cat([value.detach().flatten() for module in toy.roles.values() for value in module.parameters()])


SOURCE: Batches = batches
AVERAGED = Ema(decay=0.9, start=0)
