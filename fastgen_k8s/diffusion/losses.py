"""The losses, each one formula and each per sample [B]: the loop weighs the samples and divides by the global batch."""

import torch
from torch import Tensor
from torch.nn.functional import softplus


def per_sample(values: Tensor) -> Tensor:
    """The mean of values [B, ...] over everything but the batch, in at least fp32."""
    return values.flatten(1).to(torch.promote_types(values.dtype, torch.float32)).mean(1)  # [B]


def regression(predicted: Tensor, x0: Tensor) -> Tensor:
    """0.5 mean (x0_hat - x0)^2 (Luhman & Luhman 2021, arXiv 2101.02388; on paths: CausVid, arXiv 2412.07772)."""
    return 0.5 * per_sample((predicted - x0) ** 2)


def masked_regression(predicted: Tensor, x0: Tensor, noised: Tensor, states: int) -> Tensor:
    """The same over the noised frames [B, T] only, when each chunk is clean with probability 1 / (states + 1).

    The sum is divided by the constant expected number of noised elements, never by the count in this batch: that
    differs between ranks, and is zero for a sample whose chunks are all clean.
    """
    kept = (predicted - x0) ** 2 * noised[:, None, :, None, None]
    return 0.5 * per_sample(kept) * (states + 1) / states


def matching(predicted: Tensor, target: Tensor) -> Tensor:
    """mean (v_hat - v)^2 with v = eps - x0: flow matching (Lipman et al. 2023, arXiv 2210.02747, eq. 9)."""
    return per_sample((predicted - target) ** 2)


def score_gradient(x: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """w (fake - real) with w = 1 / (mean |x - real| + 1e-6) per sample, in fp32 (DMD, arXiv 2311.18828)."""
    x, real, fake = x.float(), real.float(), fake.float()
    w = 1 / (per_sample((x - real).abs()) + 1e-6)  # [B]
    return (fake - real) * w[:, None, None, None, None]


def distribution_matching(x: Tensor, gradient: Tensor) -> Tensor:
    """0.5 mean (x - sg(x - gradient))^2, whose derivative by x is gradient / numel (DMD2, arXiv 2405.14867)."""
    x = x.float()
    return 0.5 * per_sample((x - (x - gradient).detach()) ** 2)


def generator_loss(logits: Tensor) -> Tensor:
    """softplus(-D(fake)): the non-saturating loss of the student (Goodfellow et al. 2014, arXiv 1406.2661, sec. 3)."""
    return softplus(-logits)


def discriminator_loss(fake: Tensor, real: Tensor) -> Tensor:
    """softplus(D(fake)) + softplus(-D(real))."""
    return softplus(fake) + softplus(-real)


def approximate_r1(logits: Tensor, perturbed: Tensor) -> Tensor:
    """|D(x_t) - D(x_t + alpha n)|^2, both at the noised point (APT, arXiv 2501.08316)."""
    return (logits - perturbed) ** 2
