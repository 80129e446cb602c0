"""Rectified flow: shift, noise, conversions, drawn times."""

from collections.abc import Callable

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from fastgen_k8s.diffusion.schedule import (
    RECTIFIED_FLOW,
    Schedule,
    add_noise,
    draw_times,
    flow_to_eps,
    flow_to_x0,
    shift,
    uniform_grid,
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


class Alphas:
    """a^2 + s^2 = 1, with no clip left at t = 1."""

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor]:
        angle = t * torch.pi / 2
        return torch.where(t == 1, 0.0, angle.cos()), angle.sin()


@pytest.mark.parametrize("t", [torch.tensor([1.0, 0.5, 0.001]), torch.full((3, 4), 0.624)], ids=["[B]", "[B, T]"])
@pytest.mark.parametrize("schedule", [RECTIFIED_FLOW, Alphas()], ids=["rectified flow", "alphas"])
@pytest.mark.parametrize("convert", [flow_to_x0, flow_to_eps])
def test_a_flow_says_what_made_the_state(
    convert: Callable[[Tensor, Tensor, Tensor, Schedule], Tensor], schedule: Schedule, t: Tensor
) -> None:
    x0, eps = clip(0).double(), clip(1).double()
    found = convert(eps - x0, add_noise(x0, eps, t, schedule), t, schedule)
    torch.testing.assert_close(found, x0 if convert is flow_to_x0 else eps, atol=1e-12, rtol=0)


def test_guidance_of_flows_is_guidance_of_noises() -> None:
    x_t, t, schedule = clip(0).double(), torch.tensor([0.9, 0.5, 0.1]), Alphas()
    given, without = clip(1).double(), clip(2).double()
    guided = flow_to_eps(without + 5 * (given - without), x_t, t, schedule)
    one, other = (flow_to_eps(v, x_t, t, schedule) for v in (given, without))
    torch.testing.assert_close(guided, other + 5 * (one - other), atol=1e-12, rtol=0)


@hypothesis.given(st.floats(0, 1, allow_subnormal=False))
def test_the_coefficients_of_rectified_flow_add_up_to_1_exactly(t: float) -> None:
    a, s = RECTIFIED_FLOW.coefficients(torch.tensor(t, dtype=torch.float64))
    assert float(a + s) == 1.0


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
