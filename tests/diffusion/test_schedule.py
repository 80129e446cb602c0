"""Rectified flow: shift, noise, conversions, drawn times."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fastgen_k8s.diffusion.schedule import (
    add_noise,
    draw_times,
    eps_to_flow,
    eps_to_x0,
    flow_to_eps,
    flow_to_x0,
    shift,
    uniform_grid,
    x0_to_eps,
    x0_to_flow,
)

CLIP = (3, 2, 4, 1, 1)  # B, C, T, H, W


def clip(seed: int) -> Tensor:
    return torch.randn(CLIP, generator=torch.Generator().manual_seed(seed))


def test_shift_5_of_the_uniform_quarters_is_the_published_list() -> None:
    found = shift(torch.tensor([1, 0.75, 0.5, 0.25]), 5)
    torch.testing.assert_close(found, torch.tensor([1, 0.9375, 0.83333, 0.625]), atol=1e-5, rtol=0)


def test_a_shift_of_1_changes_nothing() -> None:
    t = torch.linspace(0, 1, 7)
    assert torch.equal(shift(t, 1), t)


def test_frames_are_noised_at_their_own_times() -> None:
    x0, eps = clip(0), clip(1)
    t = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(3, 4)
    x_t = add_noise(x0, eps, t)
    assert torch.equal(x_t, torch.cat([x0[:, :, :2], eps[:, :, 2:]], dim=2))


@pytest.mark.parametrize("t", [torch.tensor([0.999, 0.5, 0.001]), torch.full((3, 4), 0.624)], ids=["[B]", "[B, T]"])
@pytest.mark.parametrize(
    ("convert", "given", "wanted"),
    [
        (flow_to_x0, "flow", "x0"),
        (flow_to_eps, "flow", "eps"),
        (x0_to_flow, "x0", "flow"),
        (x0_to_eps, "x0", "eps"),
        (eps_to_x0, "eps", "x0"),
        (eps_to_flow, "eps", "flow"),
    ],
)
def test_a_conversion_recovers_what_made_the_state(
    convert: Callable[[Tensor, Tensor, Tensor], Tensor], given: str, wanted: str, t: Tensor
) -> None:
    x0, eps = clip(0).double(), clip(1).double()
    values = {"x0": x0, "eps": eps, "flow": eps - x0}
    found = convert(values[given], add_noise(x0, eps, t), t)
    torch.testing.assert_close(found, values[wanted], atol=1e-12, rtol=0)


def test_conversions_keep_the_dtype_of_the_state() -> None:
    x = clip(0).bfloat16()
    assert flow_to_x0(x, x, torch.full((3,), 0.5, dtype=torch.float64)).dtype == torch.bfloat16


def test_drawn_times_are_shifted_and_stay_in_their_range() -> None:
    t = draw_times(torch.linspace(0, 1, 101, dtype=torch.float64), 5, 0.02, 0.98)
    assert (t.min().item(), t[50].item(), t.max().item()) == pytest.approx((0.0926, 5 / 6, 0.98), abs=1e-3)


def test_the_grid_goes_from_its_start_to_zero() -> None:
    grid = uniform_grid(4, 5, 0.999)
    wanted = torch.tensor([0.999, 0.9375, 0.83333, 0.625, 0], dtype=torch.float64)
    torch.testing.assert_close(grid, wanted, atol=1e-5, rtol=0)
