"""The teacher's ODE against its exact solution, on a grid that holds every wanted time."""

from functools import lru_cache

import pytest
import torch
from torch import Tensor

from fastgen_k8s.diffusion.solvers import Solver, snapped_grid, solve
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.networks.gaussian_rotation import GaussianTeacher, exact_path
from fastgen_k8s.networks.network import flow

T_LIST = (0.999, 0.937, 0.833, 0.624, 0.0)
SAMPLES, CHANNELS, FRAMES = 32, 2, 6


def start() -> Tensor:
    eps = torch.randn(SAMPLES, CHANNELS, FRAMES, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return T_LIST[0] * eps


@lru_cache
def errors(solver: Solver, steps: int) -> tuple[float, ...]:
    """Root mean square error of the states at T_LIST."""
    teacher, x = GaussianTeacher(0.9, (0.6, -0.6), CHANNELS), start()
    condition = {"text": torch.tensor([[[1.0, 0.0]]]).expand(SAMPLES, 1, 2)}

    def velocity(x_t: Tensor, t: float) -> Tensor:
        return flow(teacher, x_t, torch.full((SAMPLES,), t, dtype=torch.float64), condition)

    states, end = solve(velocity, x, snapped_grid(steps, 5, T_LIST), solver, T_LIST[:-1])
    found = torch.cat([states, end[:, None]], dim=1)
    exact = exact_path(x, 0.6, 0.9, T_LIST)
    return tuple(float(error) for error in (found - exact).square().mean((0, 2, 3, 4, 5)).sqrt())


@pytest.mark.parametrize("steps", [4, 9, 35, 100])
def test_every_time_asked_for_is_a_node_exactly(steps: int) -> None:
    grid = snapped_grid(steps, 5, T_LIST)
    assert set(T_LIST) <= {float(t) for t in grid}
    assert len(grid) == steps + 1


def test_other_nodes_stay_where_the_shifted_grid_has_them() -> None:
    plain, snapped = snapped_grid(35, 5, (0.999, 0.0)), snapped_grid(35, 5, T_LIST)
    assert int((plain != snapped).sum()) == 3
    assert float((plain - snapped).abs().max()) < 0.02


@pytest.mark.parametrize(
    ("steps", "t_list", "message"),
    [
        (3, T_LIST, "a node of its own for each time .* nodes"),
        (35, (0.999, 0.937, 0.936, 0.0), "a node of its own"),
        (35, (0.999, 0.001, 0.0), "a node of its own"),
        (500, T_LIST, "500 steps are too many"),
    ],
)
def test_a_grid_that_cannot_hold_the_times_is_refused(steps: int, t_list: tuple[float, ...], message: str) -> None:
    with pytest.raises(Misdescribed, match=message):
        snapped_grid(steps, 5, t_list)


@pytest.mark.parametrize("solver", ["unipc", "heun", "euler"])
def test_the_first_state_is_the_start(solver: Solver) -> None:
    assert errors(solver, 35)[0] < 1e-12


def test_euler_converges_with_order_1() -> None:
    coarse, fine = errors("euler", 70), errors("euler", 140)
    assert [a / b for a, b in zip(coarse[1:], fine[1:], strict=True)] == pytest.approx([2] * 4, rel=0.15)


def test_heun_converges_with_order_2() -> None:
    coarse, fine = errors("heun", 70), errors("heun", 140)
    assert [a / b for a, b in zip(coarse[1:], fine[1:], strict=True)] == pytest.approx([4] * 4, rel=0.15)


def test_states_of_snapped_unipc_are_within_5e_4_at_35_steps() -> None:
    assert max(errors("unipc", 35)[:-1]) < 5e-4


def test_a_state_is_at_its_own_time_and_not_at_the_nearest_node_of_the_unsnapped_grid() -> None:
    plain = snapped_grid(35, 5, (0.999, 0.0))
    beside = float(plain[(plain - 0.624).abs().argmin()])
    at, moved = exact_path(start(), 0.6, 0.9, (0.999, 0.624, beside))[:, 1:].unbind(1)
    assert float((at - moved).square().mean().sqrt()) > 100 * errors("unipc", 35)[3]


def test_a_half_precision_start_is_solved_in_fp32() -> None:
    grid = snapped_grid(9, 5, T_LIST)
    states, end = solve(lambda x, t: x, start().half(), grid, "euler", T_LIST[:-1])
    assert (states.dtype, end.dtype) == (torch.float32, torch.float32)
