"""Learning rates over a role's own updates."""

import pytest
import torch
from torch import nn

from fastgen_k8s.experiments.schema import Optimiser
from fastgen_k8s.training.optim import adamw, learning_rate


@pytest.mark.parametrize(
    ("settings", "update", "wanted"),
    [
        (Optimiser(lr=1.0), 0, 1.0),
        (Optimiser(lr=1.0), 99, 1.0),
        (Optimiser(lr=1.0, warmup=4), 0, 0.25),
        (Optimiser(lr=1.0, warmup=4), 3, 1.0),
        (Optimiser(lr=1.0, warmup=4), 4, 1.0),
        (Optimiser(lr=1.0, decay="cosine"), 0, 1.0),
        (Optimiser(lr=1.0, decay="cosine"), 50, 0.5),
        (Optimiser(lr=1.0, decay="cosine"), 100, 0.0),
        (Optimiser(lr=1.0, decay="cosine", warmup=20), 20, 1.0),
        (Optimiser(lr=1.0, decay="cosine", warmup=20), 60, 0.5),
        (Optimiser(lr=1.0, decay="cosine", hold=0.4), 40, 1.0),
        (Optimiser(lr=1.0, decay="cosine", hold=0.4), 70, 0.5),
        (Optimiser(lr=1.0, decay="cosine", hold=1.0), 99, 1.0),
        (Optimiser(lr=1.0, decay="cosine", warmup=200), 150, 0.755),
    ],
)
def test_the_rate_follows_its_schedule(settings: Optimiser, update: int, wanted: float) -> None:
    assert learning_rate(settings, update, planned=100) == pytest.approx(wanted)


def test_the_state_is_there_before_the_first_update() -> None:
    module = nn.Linear(2, 2)
    optimiser = adamw(list(module.parameters()), Optimiser())
    assert {name for state in optimiser.state.values() for name in state} == {"step", "exp_avg", "exp_avg_sq"}


def test_a_state_made_in_advance_changes_no_update() -> None:
    ours, theirs = nn.Linear(3, 1), nn.Linear(3, 1)
    theirs.load_state_dict(ours.state_dict())
    settings = Optimiser(lr=0.1, weight_decay=0.1)
    plain = torch.optim.AdamW(theirs.parameters(), lr=0.1, weight_decay=0.1, betas=settings.betas, fused=True)
    prepared = adamw(list(ours.parameters()), settings)
    for module, optimiser in ((ours, prepared), (theirs, plain)):
        for _ in range(3):
            optimiser.zero_grad()
            torch.autograd.backward(module(torch.ones(2, 3)).pow(2).sum())
            optimiser.step()  # pyright: ignore[reportUnknownMemberType]
    assert torch.equal(ours.weight, theirs.weight)
