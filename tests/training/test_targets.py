"""Targets: the average of any role, in a network that the losses may call, sharded or not, and after a restart."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.diffusion.draws import Draws
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.experiments.schema import Optimisation, Optimiser, Train
from fastgen_k8s.methods.method import Batch, Losses, Method, Target
from fastgen_k8s.networks.load import build_student
from fastgen_k8s.networks.network import flow
from fastgen_k8s.training.checkpoint import Checkpoints, resume, tensors
from fastgen_k8s.training.loop import train
from fastgen_k8s.training.parallel import World, join, local, shard
from fastgen_k8s.training.state import TrainingState, start
from tests.training.toy import AVERAGED

MODEL = get_experiment("closed_form/gaussian_kd").model.override("network.num_layers=1", "chunk_size=null")
TRAIN = Train(steps=3, global_batch=2)
RATE = Optimisation(fake_score=Optimiser(lr=0.1))
X = torch.randn(2, *MODEL.latent, generator=torch.Generator().manual_seed(0))
T, CONDITION = torch.full((2,), 0.5, dtype=torch.float64), {"text": torch.eye(2)[:, None]}


def batches(step: int, slots: object) -> Batch:
    return Batch(CONDITION, X)


class Following:
    """A fake score that is drawn to a flow of 1, beside its average, whose flow its losses note."""

    def __init__(self, world: World) -> None:
        self.role = build_student(MODEL, None)
        self.average = deepcopy(self.role).requires_grad_(False)
        self.said = list[Tensor]()
        self.method = Method(
            {"fake_score": self.role},
            self.losses,
            lambda _: ("fake_score",),
            frozen=(self.average,),
            targets={"fake_score": Target(AVERAGED, self.average)},
        )
        for network in (self.role, self.average):
            shard(network, world, TRAIN.precision)
        self.state: TrainingState = start(self.method, TRAIN, RATE)

    def losses(self, batch: Batch, draws: Draws) -> Losses:
        """How far the role is; what the average says now is noted."""
        with torch.no_grad():
            self.said.append(flow(self.average, X, T, batch.condition))
        loss = (flow(self.role, X, T, batch.condition) - 1).square().flatten(1).mean(1)
        return Losses(loss, {"far": loss})

    def train(self, steps: int) -> None:
        """Go on to a step."""
        train(self.method, self.state, TRAIN.override(f"steps={steps}"), batches)


@pytest.mark.parametrize("sharded", [False, True])
def test_losses_call_the_average_of_the_updates_so_far(sharded: bool) -> None:
    """Its weights are looked at as they are in a network of the same kind that was never sharded."""
    with join(torch.device("cpu"), "bfloat16" if sharded else "float32", 60) as world:
        its, plain = Following(world), build_student(MODEL, None)
        its.train(3)
        averaged = {name: value.detach().clone() for name, value in plain.named_parameters()}
        for step in range(3):
            plain.load_state_dict(averaged, strict=False)
            torch.testing.assert_close(its.said[step], flow(plain, X, T, CONDITION).detach(), atol=1e-5, rtol=1e-5)
            again = Following(world)
            again.train(step + 1)
            now = {name: local(value) for name, value in again.role.state_dict().items()}
            averaged = {name: 0.9 * mean + 0.1 * now[name] for name, mean in averaged.items()}
        assert not torch.equal(its.said[0], its.said[2])


def test_a_resumed_run_calls_the_same_average(tmp_path: Path) -> None:
    with join(torch.device("cpu"), "float32", 60) as world:
        at_once, first, second = Following(world), Following(world), Following(world)
        at_once.train(3)
        first.train(2)
        checkpoints = Checkpoints(store_at(str(tmp_path)), world, "0001-test", 2, {})
        checkpoints.save(first.state)
        checkpoints.wait()
        assert resume(store_at(str(tmp_path)), second.state, world)
        second.train(3)
    assert torch.equal(second.said[0], at_once.said[2])


def test_a_checkpoint_names_averages_by_their_role() -> None:
    names = [name for name in tensors(Following(World()).state) if ".ema." in name]
    assert names and all(name.startswith("fake_score.ema.") for name in names)
