"""Flow matching: how the teachers of tiny experiments are trained, on whole clips or chunk by chunk."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fastgen_k8s.diffusion import losses
from fastgen_k8s.diffusion.chunks import per_frame
from fastgen_k8s.diffusion.draws import Draws
from fastgen_k8s.diffusion.schedule import add_noise, draw_times
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.experiments.method import FlowMatchingSettings
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.methods.method import Batch, Losses, clean, for_batch
from fastgen_k8s.methods.rollout import sizes
from fastgen_k8s.methods.teacher_forcing import flow_on_clean_past
from fastgen_k8s.networks.network import Condition, Network, flow

TIMES = (0.001, 0.999)
"""The range of t (distillation.md: u ~ U[0.001, 0.999], shifted and clamped)."""


class FlowMatching:
    """v(x_t, t, c) -> eps - x0 (Lipman et al. 2023, arXiv 2210.02747, eq. 9), with some prompts dropped for guidance.

    With teacher forcing each chunk has a time of its own and sees the clean chunks before it: what an autoregressive
    teacher learns.
    """

    def __init__(self, student: Network, empty: Condition, settings: FlowMatchingSettings, model: Model) -> None:
        if settings.teacher_forcing and model.chunk_size is None:
            raise Misdescribed("method.teacher_forcing wants model.chunk_size, found null")
        self.student, self.empty, self.settings, self.model = student, empty, settings, model
        self.roles: Mapping[str, nn.Module] = {"student": student}
        self.frozen: Mapping[str, Network] = {}
        self.warmup, self.streaks = 0, dict[str, int]()

    def turn(self, step: int) -> tuple[str, ...]:
        """Every step is the student's."""
        return ("student",)

    def losses(self, batch: Batch, draws: Draws) -> Losses:
        """(v_hat - (eps - x0))^2 at one time a sample, or one a chunk."""
        x0 = clean(batch)
        chunks = sizes(self.model, x0.shape[2])
        t = draw_times(
            draws.uniform("t", (len(chunks) if self.settings.teacher_forcing else 1,)), self.model.shift, *TIMES
        )
        eps = draws.normal("eps", x0.shape[1:])
        condition = self._with_drops(batch.condition, draws)
        if self.settings.teacher_forcing:
            t = per_frame(t, chunks)  # [B, T]
            v = flow_on_clean_past(self.student, add_noise(x0, eps, t), t, x0, condition, chunks)
        else:
            t = t[:, 0]  # [B]
            v = flow(self.student, add_noise(x0, eps, t), t, condition)
        total = losses.matching(v, eps - x0)
        return Losses(total, {"flow": total.detach()})

    def check(self, step: int, logged: Mapping[str, float]) -> None:
        """A regression has no bound beyond finiteness, which the loop watches."""

    def _with_drops(self, condition: Condition, draws: Draws) -> Condition:
        """The condition with the prompt of some samples replaced by the empty one (Ho & Salimans 2022, alg. 1)."""
        dropped = draws.uniform("drop") < self.settings.drop_prompt  # [B]
        empty = for_batch(self.empty, len(dropped))
        return {name: chosen(dropped, empty[name], value) for name, value in condition.items()}


def chosen(rows: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """`yes` in the rows [B] that say so and `no` in the others, each [B, ...]."""
    return torch.where(rows.to(no.device).reshape(-1, *[1] * (no.dim() - 1)), yes.to(no.dtype), no)
