"""Flow matching: how the teachers of tiny experiments are trained, on whole clips or chunk by chunk."""

import torch

from fastgen_k8s.diffusion import losses
from fastgen_k8s.diffusion.chunks import per_frame
from fastgen_k8s.diffusion.draws import Draws
from fastgen_k8s.diffusion.schedule import add_noise, draw_times
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.experiments.method import FlowMatchingSettings
from fastgen_k8s.methods.method import Batch, Losses, Method, Parts, given
from fastgen_k8s.methods.rollout import flow_on_clean_past, sizes
from fastgen_k8s.networks.network import Condition, flow

TIMES = (0.001, 0.999)
"""The range of t, which is drawn uniformly and shifted."""


def build(settings: FlowMatchingSettings, parts: Parts) -> Method:
    """v(x_t, t, c) -> eps - x0 (Lipman et al. 2023, arXiv 2210.02747, eq. 9), with some prompts dropped for guidance.

    With teacher forcing each chunk has a time of its own and sees the clean chunks before it: what an autoregressive
    teacher learns.
    """
    if settings.teacher_forcing and parts.model.chunk_size is None:
        raise Misdescribed("method.teacher_forcing wants model.chunk_size, found null")

    schedule = parts.student.schedule

    def of_flow(batch: Batch, draws: Draws) -> Losses:
        x0 = given(batch.x0, "clean latents")
        condition = with_drops(batch.condition, parts.empty, draws, settings.drop_prompt)
        chunks = sizes(parts.model, x0.shape[2]) if settings.teacher_forcing else (x0.shape[2],)
        eps, uniform = draws.normal("eps", x0.shape[1:]), draws.uniform("t", (len(chunks),))
        t = draw_times(uniform, parts.model.shift, *TIMES)  # [B, K]
        if settings.teacher_forcing:
            t = per_frame(t, chunks)  # [B, T]
            v = flow_on_clean_past(parts.student, add_noise(x0, eps, t, schedule), t, x0, condition, chunks)
        else:
            v = flow(parts.student, add_noise(x0, eps, t[:, 0], schedule), t[:, 0], condition)
        loss = losses.matching(v, eps - x0)
        return Losses(loss, {"flow": loss})

    return Method({"student": parts.student}, of_flow)


def with_drops(condition: Condition, empty: Condition, draws: Draws, probability: float) -> Condition:
    """The condition with the prompt of some samples replaced by the empty one (Ho & Salimans 2022, alg. 1)."""
    dropped = draws.uniform("drop") < probability  # [B]
    return {
        name: torch.where(dropped.view(-1, *[1] * (value.dim() - 1)), empty[name].to(value.dtype), value)
        for name, value in condition.items()
    }
