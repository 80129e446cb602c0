"""Draws are functions of (seed, step, slot, purpose), and of nothing else."""

import pytest
import torch

from fastgen_k8s.diffusion.draws import KeyedDraws


def test_a_slot_draws_the_same_in_any_micro_batch() -> None:
    together = KeyedDraws(0, 5, [0, 1, 2, 3])
    apart = KeyedDraws(0, 5, [3, 1])
    assert torch.equal(together.normal("eps", (2, 3))[[3, 1]], apart.normal("eps", (2, 3)))
    assert torch.equal(together.integer("column", 5, (4,))[[3, 1]], apart.integer("column", 5, (4,)))
    assert torch.equal(together.uniform("t")[[3, 1]], apart.uniform("t"))


def test_the_order_of_draws_does_not_matter() -> None:
    first, second = KeyedDraws(0, 5, [0]), KeyedDraws(0, 5, [0])
    first.normal("other", (8,))
    assert torch.equal(first.normal("eps", (2,)), second.normal("eps", (2,)))


@pytest.mark.parametrize(
    "other", [KeyedDraws(1, 5, [0]), KeyedDraws(0, 6, [0]), KeyedDraws(0, 5, [1])], ids=["seed", "step", "slot"]
)
def test_another_key_draws_something_else(other: KeyedDraws) -> None:
    draws = KeyedDraws(0, 5, [0])
    assert not torch.equal(draws.normal("eps", (4,)), other.normal("eps", (4,)))


def test_purposes_draw_apart() -> None:
    draws = KeyedDraws(0, 5, [0])
    assert not torch.equal(draws.normal("eps", (4,)), draws.normal("noise", (4,)))


def test_a_shared_draw_is_one_for_all_slots_and_changes_with_the_step() -> None:
    values = [KeyedDraws(0, step, slots).shared_uniform("exit") for step, slots in ((5, [0]), (5, [1, 2]), (6, [0]))]
    assert values[0] == values[1] != values[2]


def test_draws_have_the_moments_of_their_laws() -> None:
    draws = KeyedDraws(0, 1, range(2000))
    normal, uniform, integer = draws.normal("n", (4,)), draws.uniform("u"), draws.integer("i", 5)
    found = [normal.mean(), normal.std(), uniform.mean(), integer.double().mean()]
    assert [float(value) for value in found] == pytest.approx([0, 1, 0.5, 2], abs=0.1)
    assert {int(value) for value in integer} == {0, 1, 2, 3, 4}
