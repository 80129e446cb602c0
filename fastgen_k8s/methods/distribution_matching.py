"""Distribution matching: DMD2 for a student of whole clips, Self-Forcing for a causal one; the rollout decides."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from fastgen_k8s.diffusion import losses
from fastgen_k8s.diffusion.chunks import chunk_slices
from fastgen_k8s.diffusion.draws import Draws
from fastgen_k8s.diffusion.schedule import add_noise, draw_times, flow_to_x0
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.experiments.method import DistributionMatchingSettings, Gan
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.methods.gan import Adversary
from fastgen_k8s.methods.health import CRITIC, TEACHER, Bounds, real_variance_term, variance_term
from fastgen_k8s.methods.method import Batch, Losses, for_batch
from fastgen_k8s.methods.rollout import draw_exits, rollout, sizes
from fastgen_k8s.networks.network import Condition, Network, flow, guided_flow


class DistributionMatching:
    """Move the student's samples along teacher score - fake score (DMD2, Yin et al. 2024, arXiv 2405.14867).

    The fake score follows the student's samples, as they come out of its own rollout (Self-Forcing, Huang et al. 2025,
    arXiv 2506.08009); the optional adversary compares them with real clips.
    """

    def __init__(
        self,
        student: Network,
        teacher: Network,
        fake_score: Network,
        discriminator: nn.Module | None,
        negative: Condition,
        settings: DistributionMatchingSettings,
        model: Model,
    ) -> None:
        if settings.student_update_freq < 2:
            raise Misdescribed("method.student_update_freq wants 2 or more: at 1 the fake score would never learn")
        if (settings.gan is None) != (discriminator is None):
            raise Misdescribed("method.gan and a discriminator go together, found one without the other")
        self.student, self.teacher, self.fake_score = student, teacher, fake_score
        self.negative, self.settings, self.model = negative, settings, model
        self.adversary = _adversary(teacher, discriminator, settings.gan)
        self.roles: Mapping[str, nn.Module] = {"student": student, "fake_score": fake_score} | (
            {} if discriminator is None else {"discriminator": discriminator}
        )
        self.frozen: Mapping[str, Network] = {"teacher": teacher}
        self.warmup = settings.critic_warmup
        self.time_shift = settings.time_shift or model.shift
        self.bounds = Bounds(settings.health)
        self.streaks = self.bounds.streaks
        self.chunks = chunk_slices(sizes(model, model.latent[1]))
        if settings.start_gradient_frame > (last := self.chunks[-1].start):
            raise Misdescribed(
                f"method.start_gradient_frame: wanted at most {last}, where the last chunk begins, "
                f"found {settings.start_gradient_frame}: no chunk would learn"
            )

    def turn(self, step: int) -> tuple[str, ...]:
        """The student at each multiple of `student_update_freq`, the fake score and the discriminator otherwise."""
        if step > 0 and step % self.settings.student_update_freq == 0:
            return ("student",)
        return tuple(role for role in self.roles if role != "student")

    def losses(self, batch: Batch, draws: Draws) -> Losses:
        """The losses of the roles whose turn it is, on clips that the student makes now."""
        if "student" in self.turn(draws.step):
            return self._of_student(batch, draws)
        return self._of_critics(batch, draws)

    def check(self, step: int, logged: Mapping[str, float]) -> None:
        """Raise Unhealthy for a critic that lags, a variance out of bounds, or a number that is not finite."""
        self.bounds.check(step, logged)

    def _of_student(self, batch: Batch, draws: Draws) -> Losses:
        x, exits = self._clips(batch, draws)
        t, eps = self._noise(x, draws)
        x_t = add_noise(x, eps, t)
        gradient = self._gradient(x.detach(), x_t.detach(), t, batch.condition)
        total = losses.distribution_matching(x, gradient)
        terms = {"matching": total, "gradient": losses.per_sample(gradient.abs())}
        if self.adversary is not None:
            generator = self.adversary.of_student(x_t, t, batch.condition)
            total, terms = total + self.adversary.settings.weight * generator, terms | {"generator": generator}
        return Losses(total, _detached(terms) | self._variances(x, exits, batch))

    def _of_critics(self, batch: Batch, draws: Draws) -> Losses:
        with torch.no_grad():
            x, exits = self._clips(batch, draws)
        t, eps = self._noise(x, draws)
        x_t = add_noise(x, eps, t)
        total = self._denoising(self.fake_score, x, x_t, t, eps, batch.condition)
        terms = {CRITIC: total}
        if self.settings.health.critic_lag is not None:
            with torch.no_grad():
                terms[TEACHER] = self._denoising(self.teacher, x, x_t, t, eps, batch.condition)
        if self.adversary is not None:
            adversarial, more = self.adversary.of_discriminator(x_t, t, eps, batch, draws, self._noise)
            total, terms = total + adversarial, terms | more
        return Losses(total, _detached(terms) | self._variances(x, exits, batch))

    def _clips(self, batch: Batch, draws: Draws) -> tuple[Tensor, tuple[int, ...]]:
        """What the student makes of fresh noise [B, C, T, H, W], and the step at which each chunk stopped."""
        exits = draw_exits(self.settings, self.model.steps, len(self.chunks), draws)
        x = rollout(
            self.student,
            draws.normal("noise", self.model.latent),
            batch.condition,
            self.model,
            draws,
            exits=exits,
            renoise=self.settings.renoise,
            context_noise=self.settings.context_noise,
            gradient_from=self.settings.start_gradient_frame,
        )
        return x, exits

    def _noise(self, x: Tensor, draws: Draws, purpose: str = "fake") -> tuple[Tensor, Tensor]:
        """A time [B] and noise [B, C, T, H, W] at which clips are judged."""
        t = draw_times(draws.uniform(f"{purpose}/t"), self.time_shift, *self.settings.times)
        return t, draws.normal(f"{purpose}/eps", x.shape[1:])

    @torch.no_grad()
    def _gradient(self, x: Tensor, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """w (fake - real), the teacher's x0 with guidance and the fake score's without."""
        negative = for_batch(self.negative, len(x))
        real = guided_flow(self.teacher, x_t, t, condition, negative, self.settings.guidance)
        fake = flow(self.fake_score, x_t, t, condition)
        return losses.score_gradient(x, flow_to_x0(real, x_t, t), flow_to_x0(fake, x_t, t))

    def _denoising(
        self, network: Network, x: Tensor, x_t: Tensor, t: Tensor, eps: Tensor, condition: Condition
    ) -> Tensor:
        """How well a network denoises the student's clips [B], as flow or as x0 (DMD2, arXiv 2405.14867)."""
        v = flow(network, x_t, t, condition)
        if self.settings.critic_loss == "flow":
            return losses.matching(v, eps - x)
        return losses.matching(flow_to_x0(v, x_t, t), x)

    def _variances(self, x: Tensor, exits: Sequence[int], batch: Batch) -> dict[str, Tensor]:
        """The variance about zero of each chunk [B], by the step at which it stopped, and of real clips if known."""
        pairs = list(enumerate(zip(exits, self.chunks, strict=True)))
        terms = {variance_term(exit_step, k): _power(x[:, :, frames]) for k, (exit_step, frames) in pairs}
        if batch.x0 is not None:
            terms |= {real_variance_term(k): _power(batch.x0[:, :, frames]) for k, (_, frames) in pairs}
        return terms


def _power(x: Tensor) -> Tensor:
    return losses.per_sample(x.detach() ** 2)


def _detached(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: term.detach() for name, term in terms.items()}


def _adversary(teacher: Network, discriminator: nn.Module | None, settings: Gan | None) -> Adversary | None:
    return None if discriminator is None or settings is None else Adversary(teacher, discriminator, settings)
