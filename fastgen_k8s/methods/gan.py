"""The adversarial term: heads on the frozen teacher's features of noised clips tell real from made."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fastgen_k8s.diffusion import losses
from fastgen_k8s.diffusion.draws import Draws
from fastgen_k8s.diffusion.schedule import add_noise
from fastgen_k8s.experiments.method import Gan
from fastgen_k8s.methods.method import Batch, clean
from fastgen_k8s.networks.network import Condition, Network, features

Noise = Callable[[Tensor, Draws, str], tuple[Tensor, Tensor]]
"""A time [B] and noise for clips, drawn for a purpose."""


class Adversary:
    """A non-saturating GAN in the teacher's feature space (DMD2, Yin et al. 2024, arXiv 2405.14867, sec. 4.3)."""

    def __init__(self, teacher: Network, discriminator: nn.Module, settings: Gan) -> None:
        self.teacher, self.discriminator, self.settings = teacher, discriminator, settings

    def of_student(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """The student's loss [B]; the gradient runs through the teacher's features to x_t, not to its weights."""
        return losses.generator_loss(self._logits(x_t, t, condition))

    def of_discriminator(
        self, fake: Tensor, t: Tensor, eps: Tensor, batch: Batch, draws: Draws, noise: Noise
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The heads' loss [B] on made and real clips, and its terms; at accuracy 0.5 they have learnt nothing."""
        real = clean(batch)
        if not self.settings.same_noise:
            real_t, eps = noise(real, draws, "real")
        else:
            real_t = t
        real = add_noise(real, eps, real_t)
        on_fake, on_real = (
            self._frozen_logits(fake, t, batch.condition),
            self._frozen_logits(real, real_t, batch.condition),
        )
        total = losses.discriminator_loss(on_fake, on_real)
        terms = {"discriminator": total, "accuracy": ((on_real > 0).float() + (on_fake <= 0).float()) / 2}
        if self.settings.r1_weight > 0:
            moved = real + self.settings.r1_alpha * draws.normal("r1", real.shape[1:])
            terms["r1"] = losses.approximate_r1(on_real, self._frozen_logits(moved, real_t, batch.condition))
            total = total + self.settings.r1_weight * terms["r1"]
        return total, terms

    def _logits(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        return self.discriminator(features(self.teacher, x_t, t, condition, self.settings.blocks))

    def _frozen_logits(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        with torch.no_grad():
            read = features(self.teacher, x_t, t, condition, self.settings.blocks)
        return self.discriminator(read)
