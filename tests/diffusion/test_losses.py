"""Each loss is its formula, per sample."""

import math

import pytest
import torch
from torch import Tensor

from fastgen_k8s.diffusion import losses

CLIP = (2, 2, 3, 1, 1)  # B, C, T, H, W


def clip(seed: int) -> Tensor:
    return torch.randn(CLIP, generator=torch.Generator().manual_seed(seed))


def test_a_loss_of_one_sample_does_not_depend_on_the_others() -> None:
    a, b = clip(0), clip(1)
    torch.testing.assert_close(losses.regression(a, b)[1:], losses.regression(a[1:], b[1:]))


def test_regression_is_half_the_mean_square() -> None:
    assert torch.equal(losses.regression(torch.ones(CLIP), torch.full(CLIP, 3.0)), torch.tensor([2.0, 2.0]))


def test_masked_regression_divides_by_the_expected_number_of_noised_elements() -> None:
    noised = torch.tensor([[True, True, False], [True, True, True]])
    found = losses.masked_regression(torch.ones(CLIP), torch.full(CLIP, 3.0), noised, states=4)
    torch.testing.assert_close(found, torch.tensor([2 * (2 / 3) * 5 / 4, 2 * 5 / 4]))


def test_a_sample_of_clean_chunks_only_has_a_masked_loss_of_zero() -> None:
    found = losses.masked_regression(clip(0), clip(1), torch.zeros(2, 3, dtype=torch.bool), states=4)
    assert torch.equal(found, torch.tensor([0.0, 0.0]))


def test_the_derivative_of_distribution_matching_is_the_gradient_over_the_number_of_elements() -> None:
    x, gradient = clip(0).requires_grad_(), clip(1)
    (found,) = torch.autograd.grad(losses.distribution_matching(x, gradient).sum(), x)
    torch.testing.assert_close(found, gradient / 6)


def test_the_score_gradient_is_weighed_by_the_distance_to_the_teacher_per_sample() -> None:
    x, real, fake = torch.zeros(CLIP), torch.ones(CLIP), torch.full(CLIP, 3.0)
    real[1] = 4
    found = losses.score_gradient(x, real, fake)
    assert [float(row.mean()) for row in found] == pytest.approx([(3 - 1) / 1, (3 - 4) / 4], rel=1e-5)


def test_the_score_gradient_is_finite_where_the_student_equals_the_teacher() -> None:
    x = clip(0)
    assert bool(losses.score_gradient(x, x, clip(1)).isfinite().all())


def test_the_score_gradient_is_computed_in_fp32() -> None:
    x = clip(0).bfloat16()
    assert losses.score_gradient(x, x + 1, x - 1).dtype == torch.float32


def test_matching_is_the_mean_square() -> None:
    assert torch.equal(losses.matching(torch.ones(CLIP), torch.full(CLIP, 3.0)), torch.tensor([4.0, 4.0]))


def test_losses_of_undecided_logits_are_those_of_a_fair_coin() -> None:
    zero = torch.zeros(2)
    torch.testing.assert_close(losses.generator_loss(zero), torch.tensor([math.log(2)] * 2))
    torch.testing.assert_close(losses.discriminator_loss(zero, zero), torch.tensor([2 * math.log(2)] * 2))


def test_a_right_discriminator_loses_less_than_a_wrong_one() -> None:
    high, low = torch.full((2,), 3.0), torch.full((2,), -3.0)
    right, wrong = losses.discriminator_loss(low, high), losses.discriminator_loss(high, low)
    assert bool((right < wrong).all())


def test_r1_is_the_squared_change_of_the_logit() -> None:
    assert torch.equal(
        losses.approximate_r1(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 2.0])), torch.tensor([4.0, 0.0])
    )
