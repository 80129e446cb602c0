"""Distribution matching: DMD2 for a student of whole clips, Self-Forcing for a causal one; the rollout decides."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fastgen_k8s.diffusion import losses
from fastgen_k8s.diffusion.chunks import chunk_slices
from fastgen_k8s.diffusion.draws import Draws
from fastgen_k8s.diffusion.schedule import add_noise, draw_times, flow_to_x0
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.experiments.method import DistributionMatchingSettings, Gan
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.methods.health import Bounds
from fastgen_k8s.methods.method import Batch, Losses, Method, Parts, for_batch, given
from fastgen_k8s.methods.rollout import draw_exits, rollout, sizes
from fastgen_k8s.networks.by_kind import family_of
from fastgen_k8s.networks.load import build_discriminator, build_teacher
from fastgen_k8s.networks.network import Condition, Network, features, flow, guided_flow, x0


def build(settings: DistributionMatchingSettings, parts: Parts) -> Method:
    """Student and fake score in turn, with a discriminator where the settings have an adversarial term."""
    model, device = parts.model, parts.device
    teacher = build_teacher(model, parts.folder).to(device)
    fake_score = family_of(model).fake_score(model, parts.folder, settings.critic_init).to(device)
    roles: dict[str, nn.Module] = {"student": parts.student, "fake_score": fake_score}
    adversary = None
    if settings.gan is not None:
        roles["discriminator"] = build_discriminator(teacher, settings.gan.blocks).to(device)
        adversary = Adversary(teacher, roles["discriminator"], settings.gan)
    matching = DistributionMatching(parts.student, teacher, fake_score, adversary, parts.negative, settings, model)
    warmup, bounds = settings.critic_warmup, Bounds(settings.health)
    return Method(roles, matching.losses, matching.turn, (teacher,), warmup=warmup, bounds=bounds)


@dataclass(frozen=True)
class Adversary:
    """A non-saturating GAN in the teacher's feature space (DMD2, Yin et al. 2024, arXiv 2405.14867, sec. 4.3)."""

    teacher: Network
    discriminator: nn.Module
    settings: Gan

    def of_discriminator(
        self, fake: tuple[Tensor, Tensor], real: tuple[Tensor, Tensor], condition: Condition, draws: Draws
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The heads' loss [B] on made and real clips (x_t, t), and its terms; at accuracy 0.5 they know nothing."""
        on_fake, on_real = self.logits(*fake, condition), self.logits(*real, condition)
        loss = losses.discriminator_loss(on_fake, on_real)
        terms = {"discriminator": loss, "accuracy": ((on_real > 0).float() + (on_fake <= 0).float()) / 2}
        if self.settings.r1_weight > 0:
            x_t, t = real
            moved = x_t + self.settings.r1_alpha * draws.normal("r1", x_t.shape[1:])
            terms["r1"] = losses.approximate_r1(on_real, self.logits(moved, t, condition))
            loss = loss + self.settings.r1_weight * terms["r1"]
        return loss, terms

    def logits(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """What the heads say of clips [B]; a gradient runs through the features to x_t, not to frozen weights."""
        return self.discriminator(features(self.teacher, x_t, t, condition, self.settings.blocks))


class Noised(NamedTuple):
    """Clips and how they are noised, to be judged."""

    x: Tensor  # [B, C, T, H, W]
    x_t: Tensor  # of the same shape
    t: Tensor  # [B]
    eps: Tensor  # as x


@dataclass(frozen=True)
class DistributionMatching:
    """Move the student's samples along teacher score - fake score (DMD2, Yin et al. 2024, arXiv 2405.14867).

    The fake score follows the student's samples, as they come out of its own rollout (Self-Forcing, Huang et al. 2025,
    arXiv 2506.08009); the optional adversary compares them with real clips.
    """

    student: Network
    teacher: Network
    fake_score: Network
    adversary: Adversary | None
    negative: Condition
    settings: DistributionMatchingSettings
    model: Model

    def __post_init__(self) -> None:
        if self.settings.student_update_freq < 2:
            raise Misdescribed("method.student_update_freq wants 2 or more: at 1 the fake score would never learn")
        if self.settings.start_gradient_frame > (last := self.chunks[-1].start):
            raise Misdescribed(
                f"method.start_gradient_frame: wanted at most {last}, where the last chunk begins, "
                f"found {self.settings.start_gradient_frame}: no chunk would learn"
            )

    @cached_property
    def chunks(self) -> tuple[slice, ...]:
        """The frames of each chunk of the student's clips."""
        return chunk_slices(sizes(self.model, self.model.latent[1]))

    def turn(self, step: int) -> tuple[str, ...]:
        """The student at each multiple of `student_update_freq`, the fake score and the discriminator otherwise."""
        if step > 0 and step % self.settings.student_update_freq == 0:
            return ("student",)
        return ("fake_score",) if self.adversary is None else ("fake_score", "discriminator")

    def losses(self, batch: Batch, draws: Draws) -> Losses:
        """The losses of the roles whose turn it is, on clips that the student makes now."""
        learns = "student" in self.turn(draws.step)
        exits = draw_exits(self.settings, self.model.steps, len(self.chunks), draws)
        eps, begin = draws.normal("noise", self.model.latent), self.settings.start_gradient_frame
        with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
            x = rollout(
                self.student, eps, batch.condition, self.model, draws, self.settings, exits=exits, gradient_from=begin
            )
        t, eps = self._noise(x, draws, "fake")
        made = Noised(x, add_noise(x, eps, t, self.teacher.schedule), t, eps)
        loss, terms = self._of_student(made, batch) if learns else self._of_critics(made, batch, draws)
        return Losses(loss, terms | self._variances(x, exits, batch.x0))

    def _of_student(self, made: Noised, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        gradient = self._gradient(made, batch.condition)
        loss = losses.distribution_matching(made.x, gradient)
        terms = {"matching": loss, "gradient": losses.per_sample(gradient.abs())}
        if self.adversary is not None:
            terms["generator"] = losses.generator_loss(self.adversary.logits(made.x_t, made.t, batch.condition))
            loss = loss + self.adversary.settings.weight * terms["generator"]
        return loss, terms

    def _of_critics(self, made: Noised, batch: Batch, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        loss = self._denoising(self.fake_score, made, batch.condition)
        terms = {"critic": loss}
        if self.settings.health.critic_lag is not None:
            with torch.no_grad():
                terms["teacher"] = self._denoising(self.teacher, made, batch.condition)
        if self.adversary is not None:
            real, same = given(batch.x0, "clean latents"), self.adversary.settings.same_noise
            t, eps = (made.t, made.eps) if same else self._noise(real, draws, "real")
            adversarial, more = self.adversary.of_discriminator(
                (made.x_t, made.t), (add_noise(real, eps, t, self.teacher.schedule), t), batch.condition, draws
            )
            loss, terms = loss + adversarial, terms | more
        return loss, terms

    def _noise(self, x: Tensor, draws: Draws, purpose: str) -> tuple[Tensor, Tensor]:
        """A time [B] and noise [B, C, T, H, W] at which clips are judged."""
        time_shift = self.settings.time_shift or self.model.shift
        t = draw_times(draws.uniform(f"{purpose}/t"), time_shift, *self.settings.times)
        return t, draws.normal(f"{purpose}/eps", x.shape[1:])

    @torch.no_grad()
    def _gradient(self, made: Noised, condition: Condition) -> Tensor:
        """w (fake - real), the teacher's x0 with guidance and the fake score's without."""
        x, x_t, t, _ = made
        real = guided_flow(self.teacher, x_t, t, condition, for_batch(self.negative, len(x)), self.settings.guidance)
        real = flow_to_x0(real, x_t, t, self.teacher.schedule)
        return losses.score_gradient(x, real, x0(self.fake_score, x_t, t, condition))

    def _denoising(self, network: Network, made: Noised, condition: Condition) -> Tensor:
        """How well a network denoises the student's clips [B], as flow or as x0 (DMD2, arXiv 2405.14867)."""
        x, x_t, t, eps = made
        if self.settings.critic_loss == "flow":
            return losses.matching(flow(network, x_t, t, condition), eps - x)
        return losses.matching(x0(network, x_t, t, condition), x)

    def _variances(self, x: Tensor, exits: Sequence[int], real: Tensor | None) -> dict[str, Tensor]:
        """The variance about zero of each chunk [B], by the step at which it stopped, and of real clips if known."""
        terms = dict[str, Tensor]()
        for k, (exit_step, frames) in enumerate(zip(exits, self.chunks, strict=True)):
            terms[f"variance/exit{exit_step}/chunk{k}"] = losses.per_sample(x[:, :, frames] ** 2)
            if real is not None:
                terms[f"variance/real/chunk{k}"] = losses.per_sample(real[:, :, frames] ** 2)
        return terms
