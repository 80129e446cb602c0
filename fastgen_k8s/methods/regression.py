"""KD, KD along a path and CausalKD: one regression of x0 from states of the teacher's trajectory, three picks."""

import torch
from torch import Tensor

from fastgen_k8s.diffusion import losses
from fastgen_k8s.diffusion.chunks import per_frame
from fastgen_k8s.diffusion.draws import Draws
from fastgen_k8s.diffusion.schedule import flow_to_x0
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.experiments.method import RegressionSettings
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.methods.method import Batch, Losses, Method, Parts, given
from fastgen_k8s.methods.rollout import flow_on_clean_past, sizes
from fastgen_k8s.networks.network import Network, flow


def build(settings: RegressionSettings, parts: Parts) -> Method:
    """The student alone regresses, in every step."""
    return Method({"student": parts.student}, TrajectoryRegression(parts.student, settings, parts.model).losses)


class TrajectoryRegression:
    """Regress x0 from a state on the teacher's path (Luhman & Luhman 2021; CausVid, Yin et al. 2024)."""

    def __init__(self, student: Network, settings: RegressionSettings, model: Model) -> None:
        if settings.pick == "chunks" and model.chunk_size is None:
            raise Misdescribed("method.pick 'chunks' wants model.chunk_size, found null")
        if settings.context == "clean" and settings.pick != "chunks":
            raise Misdescribed(f"method.context 'clean' wants method.pick 'chunks', found {settings.pick!r}")
        self.student, self.settings, self.steps = student, settings, model.steps
        self.times = torch.tensor(model.t_list, dtype=torch.float64)  # [S + 1], the last is 0
        self.sizes = sizes(model, model.latent[1]) if settings.pick == "chunks" else (model.latent[1],)
        self.may_be_clean = settings.pick == "chunks" and settings.context == "noised"

    def losses(self, batch: Batch, draws: Draws) -> Losses:
        """0.5 (x0_hat - x0)^2 at a picked state of each sample, or of each of its chunks."""
        x0, column = given(batch.x0, "clean latents"), self.pick(draws)  # [B, C, T, H, W], [B, T]
        x_t, t = self.state(batch, column), self.times.to(x0.device)[column]
        predicted = flow_to_x0(self.predict(batch, x_t, t), x_t, t, self.student.schedule)
        if self.may_be_clean and self.settings.clean_chunks == "mask":
            loss = losses.masked_regression(predicted, x0, column < self.steps, self.steps)
        else:
            loss = losses.regression(predicted, x0)
        return Losses(loss, {"regression": loss})

    def pick(self, draws: Draws) -> Tensor:
        """The column of the path for each frame [B, T]; S means clean. Drawn per sample or per chunk."""
        below = 1 if self.settings.pick == "start" else self.steps + self.may_be_clean
        return per_frame(draws.integer("column", below, (len(self.sizes),)), self.sizes)

    def state(self, batch: Batch, column: Tensor) -> Tensor:
        """The state [B, C, T, H, W] of each frame at its own column [B, T] of the path, or x0."""
        path, x0 = given(batch.path, "the teacher's paths"), given(batch.x0, "clean latents")
        all_states = torch.cat([path, x0[:, None]], dim=1)  # [B, S + 1, C, T, H, W]
        index = column[:, None, None, :, None, None].expand(-1, 1, *all_states.shape[2:])
        x_t = all_states.gather(1, index).squeeze(1)
        return x_t / self.times[0] if self.settings.as_published else x_t

    def predict(self, batch: Batch, x_t: Tensor, t: Tensor) -> Tensor:
        """The student's flow at its states, each chunk on the clip at its own times or on the clean past."""
        if self.settings.context == "clean":
            x0 = given(batch.x0, "clean latents")
            return flow_on_clean_past(self.student, x_t, t, x0, batch.condition, self.sizes)
        return flow(self.student, x_t, t, batch.condition)
