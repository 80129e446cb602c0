"""KD, KD along a path and CausalKD: one regression of x0 from states of the teacher's trajectory, three picks."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fastgen_k8s.diffusion import losses
from fastgen_k8s.diffusion.chunks import per_frame
from fastgen_k8s.diffusion.draws import Draws
from fastgen_k8s.diffusion.schedule import flow_to_x0
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.experiments.method import RegressionSettings
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.methods.method import Batch, Losses, clean
from fastgen_k8s.methods.rollout import sizes
from fastgen_k8s.methods.teacher_forcing import flow_on_clean_past
from fastgen_k8s.networks.network import Network, flow


class TrajectoryRegression:
    """Regress x0 from a state on the teacher's path (Luhman & Luhman 2021; CausVid, Yin et al. 2024)."""

    def __init__(self, student: Network, settings: RegressionSettings, model: Model) -> None:
        if settings.pick == "chunks" and model.chunk_size is None:
            raise Misdescribed("method.pick 'chunks' wants model.chunk_size, found null")
        if settings.context == "clean" and settings.pick != "chunks":
            raise Misdescribed(f"method.context 'clean' wants method.pick 'chunks', found {settings.pick!r}")
        self.student, self.settings = student, settings
        self.roles: Mapping[str, nn.Module] = {"student": student}
        self.frozen: Mapping[str, Network] = {}
        self.warmup, self.streaks = 0, dict[str, int]()
        self.times = torch.tensor(model.t_list, dtype=torch.float64)  # [S + 1], the last is 0
        self.states = model.steps
        self.sizes = sizes(model, model.latent[1])

    def turn(self, step: int) -> tuple[str, ...]:
        """Every step is the student's."""
        return ("student",)

    def losses(self, batch: Batch, draws: Draws) -> Losses:
        """0.5 (x0_hat - x0)^2 at a picked state of each sample, or of each of its chunks."""
        x0, column = clean(batch), self.pick(draws)  # [B, C, T, H, W], [B, T]
        x_t, t = self.state(batch, column), self.times.to(x0.device)[column]
        predicted = flow_to_x0(self.predict(batch, x_t, t), x_t, t)
        total = self._loss(predicted, x0, column)
        return Losses(total, {"regression": total.detach()})

    def check(self, step: int, logged: Mapping[str, float]) -> None:
        """A regression has no bound beyond finiteness, which the loop watches."""

    def pick(self, draws: Draws) -> Tensor:
        """The column of the path for each frame [B, T]; S means clean. Drawn per sample or per chunk."""
        if self.settings.pick == "chunks":
            below = self.states if self.settings.context == "clean" else self.states + 1
            return per_frame(draws.integer("column", below, (len(self.sizes),)), self.sizes)
        below = 1 if self.settings.pick == "start" else self.states
        return draws.integer("column", below, (1,)).expand(-1, sum(self.sizes))

    def state(self, batch: Batch, column: Tensor) -> Tensor:
        """The state [B, C, T, H, W] of each frame at its own column [B, T] of the path, or x0."""
        all_states = torch.cat([path(batch, self.states), clean(batch)[:, None]], dim=1)  # [B, S + 1, C, T, H, W]
        index = column[:, None, None, :, None, None].expand(-1, 1, *all_states.shape[2:])
        x_t = all_states.gather(1, index).squeeze(1)
        return x_t / self.times[0] if self.settings.as_published else x_t

    def predict(self, batch: Batch, x_t: Tensor, t: Tensor) -> Tensor:
        """The student's flow at its states, each chunk on the clip at its own times or on the clean past."""
        if self.settings.context == "clean":
            return flow_on_clean_past(self.student, x_t, t, clean(batch), batch.condition, self.sizes)
        return flow(self.student, x_t, t, batch.condition)

    def _loss(self, predicted: Tensor, x0: Tensor, column: Tensor) -> Tensor:
        may_be_clean = self.settings.pick == "chunks" and self.settings.context == "noised"
        if may_be_clean and self.settings.clean_chunks == "mask":
            return losses.masked_regression(predicted, x0, column < self.states, self.states)
        return losses.regression(predicted, x0)


def path(batch: Batch, states: int) -> Tensor:
    """The teacher's states of a batch, one for each non-zero time of t_list (BadInput)."""
    if batch.path is None:
        raise BadInput("regression wants the teacher's paths, found a batch without them: give pairs")
    if batch.path.shape[1] != states:
        raise BadInput(f"regression wants {states} states a path, as t_list has, found {batch.path.shape[1]}")
    return batch.path
