# pyright: basic
"""The discriminator: one logit a clip, out of features of any size."""

import pytest
import torch

from fastgen_k8s.networks.discriminator import Discriminator


def features(batch: int = 4, scale: float = 1.0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return tuple(scale * torch.randn(batch, 6, 8, generator=generator) for _ in range(2))


def test_a_clip_has_one_logit() -> None:
    assert Discriminator(2, 8)(features()).shape == (4,)


def test_every_head_has_a_say() -> None:
    first, second = features()
    heads = Discriminator(2, 8)
    assert not torch.equal(heads((first, second)), heads((first, first)))


def test_features_without_a_head_are_refused() -> None:
    with pytest.raises(ValueError, match="longer"):
        Discriminator(1, 8)(features())


def test_gradients_reach_the_features() -> None:
    given = tuple(feature.requires_grad_() for feature in features())
    gradients = torch.autograd.grad(Discriminator(2, 8)(given).sum(), given)
    assert all(float(gradient.abs().max()) > 0 for gradient in gradients)


def test_the_scale_of_the_features_does_not_matter() -> None:
    heads = Discriminator(2, 8)
    torch.testing.assert_close(heads(features(scale=1000.0)), heads(features(scale=1.0)), rtol=0, atol=1e-4)


def test_it_learns_to_tell_two_kinds_of_clips_apart() -> None:
    torch.manual_seed(0)
    heads, real = Discriminator(2, 8), features(64)
    fake = tuple(feature + 0.5 for feature in features(64)[::-1])  # a shift of every number but the noise's scale
    fake = tuple(torch.cat([feature[..., :4], -feature[..., 4:]], dim=-1) for feature in fake)
    optimiser = torch.optim.Adam(heads.parameters(), lr=1e-2)
    for _ in range(60):
        loss = torch.nn.functional.softplus(heads(fake)).mean() + torch.nn.functional.softplus(-heads(real)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    right = torch.cat([heads(real) > 0, heads(fake) < 0]).float().mean()
    assert float(right) > 0.9
