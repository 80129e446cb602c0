"""What a training run knows: roles with their optimisers, the averages of some, and the last finished step."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from fastgen_k8s.experiments.schema import Optimisation, Optimiser, Train
from fastgen_k8s.methods.method import Method
from fastgen_k8s.training.ema import Average
from fastgen_k8s.training.optim import adamw, learning_rate
from fastgen_k8s.training.parallel import local


class Role:
    """One trained network with its optimiser and the number of its own updates."""

    def __init__(self, module: nn.Module, settings: Optimiser, planned: int) -> None:
        self.module, self.settings, self.planned = module, settings, planned
        self.named = {name: value for name, value in module.named_parameters() if value.requires_grad}
        self.parameters = list(self.named.values())
        self.optimiser = adamw(self.parameters, settings)
        self.updates = 0

    def gradients(self) -> list[Tensor]:
        """The gradients that the last backward pass left."""
        return [parameter.grad for parameter in self.parameters if parameter.grad is not None]

    def forget_gradients(self) -> None:
        """Drop the gradients, also those that another role's turn left here."""
        for parameter in self.parameters:
            parameter.grad = None

    def update(self, norm: float) -> float:
        """Clip gradients of this norm (Pascanu et al. 2013, arXiv 1211.5063), update; the learning rate used."""
        if norm > self.settings.clip:
            for gradient in self.gradients():
                local(gradient).mul_(self.settings.clip / norm)
        rate = learning_rate(self.settings, self.updates, self.planned)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()  # pyright: ignore[reportUnknownMemberType]
        self.updates += 1
        return rate

    def has_made(self, updates: int) -> None:
        """Go on after so many updates, with the moments already in place."""
        self.updates = updates
        for state in self.optimiser.state.values():
            state["step"].fill_(updates)

    def moments(self, name: str) -> dict[str, Tensor]:
        """The optimiser's state of one parameter."""
        return self.optimiser.state[self.named[name]]


@dataclass
class TrainingState:
    """Everything that a checkpoint holds, and nothing else: all draws are functions of the step."""

    roles: Mapping[str, Role]
    averages: Mapping[str, Average]  # of the method's targets, by role
    step: int  # the last one finished
    streaks: dict[str, int]  # of the method's bounds

    def update(self, name: str, norm: float) -> float:
        """One update of a role, and of its average if it has one; the learning rate used."""
        role = self.roles[name]
        rate = role.update(norm)
        if name in self.averages:
            self.averages[name].follow(role.parameters, role.updates - 1)
        return rate


def start(method: Method, train: Train, optimisation: Optimisation) -> TrainingState:
    """The state before the first step."""
    first = 1 - method.warmup
    turns = [method.turn(step) for step in range(first, train.steps + 1)]
    settings: Mapping[str, Optimiser] = dict(optimisation)
    roles = {
        name: Role(module, settings[name], sum(name in turn for turn in turns)) for name, module in method.roles.items()
    }
    averages = {name: Average(target, roles[name].named) for name, target in method.targets.items()}
    return TrainingState(roles, averages, first - 1, {} if method.bounds is None else method.bounds.streaks)
