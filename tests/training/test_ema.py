"""The average of weights: its decay and its update."""

import pytest
import torch

from fastgen_k8s.experiments.schema import Ema
from fastgen_k8s.training.ema import average, decay_at


@pytest.mark.parametrize(
    ("settings", "update", "wanted"),
    [
        (Ema(decay=0.9, start=0), 0, 0.9),
        (Ema(decay=0.9, start=2), 1, 0.0),
        (Ema(decay=0.9, start=2), 2, 0.9),
        (Ema(decay=0.9, start=0, ramp=3), 0, 1 / 3),
        (Ema(decay=0.9, start=0, ramp=3), 2, 3 / 5),
        (Ema(decay=0.9, start=0, ramp=3), 1000, 0.9),
        (Ema(decay=0.999, start=0, ramp=10), 0, 0.1),
    ],
)
def test_the_decay_of_an_update(settings: Ema, update: int, wanted: float) -> None:
    assert decay_at(settings, update) == pytest.approx(wanted)


@pytest.mark.parametrize(("decay", "wanted"), [(0.0, 5.0), (0.75, 2.0), (0.9, 1.4)])
def test_the_average_moves_towards_the_weights(decay: float, wanted: float) -> None:
    mean = torch.ones(3)
    average([mean], [torch.full((3,), 5.0)], decay)
    torch.testing.assert_close(mean, torch.full((3,), wanted))
