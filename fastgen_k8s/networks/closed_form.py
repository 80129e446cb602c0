"""Teachers known in closed form, behind the face of every network, and a critic that starts as such a teacher."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.experiments.encoders import Labels
from fastgen_k8s.experiments.families.gaussian_rotation import GaussianRotation
from fastgen_k8s.experiments.families.ring_blobs import RingBlobs
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.networks.closed_form_gaussian import GaussianTeacher
from fastgen_k8s.networks.closed_form_ring import RingTeacher, ring_videos
from fastgen_k8s.networks.network import Condition, KVCache, Network, Output, flow


def closed_form_teacher(model: Model) -> Network:
    """The exact teacher that a model names; Misdescribed when its data do not fit the model."""
    channels, frames, height, width = model.latent
    if model.teacher is None:
        raise Misdescribed("a closed-form teacher wants model.teacher, found null")
    if (height, width) != (1, 1):
        raise Misdescribed(f"a closed-form teacher wants a latent of 1 x 1, found {height} x {width}")
    if isinstance(model.teacher, GaussianRotation):
        if channels % 2:
            raise Misdescribed(f"a Gaussian rotation turns planes and wants an even latent[0], found {channels}")
        _one_label_each(model, len(model.teacher.angles))
        return GaussianTeacher(model.teacher.a, model.teacher.angles, channels)
    _one_label_each(model, 2)
    return _ring_teacher(model.teacher, channels, frames)


class ResidualScore(Network):
    """A closed-form teacher plus a network whose last layer is zeroed: it starts as the teacher, and can learn.

    The network sees x_t and the teacher's flow, 2 C channels: a teacher of separate modes jumps between them, and a
    network that sees x_t alone would spend its training on learning where, before it can follow a blurred student.
    """

    def __init__(self, teacher: Network, network: Network) -> None:
        super().__init__()
        self.teacher, self.network = teacher, network
        last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
        with torch.no_grad():
            last.weight.zero_()
            last.bias.zero_()

    @property
    def blocks(self) -> nn.ModuleList:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The network's own list, not a second registration of it."""
        return self.network.blocks

    def forward(
        self,
        x_t: Tensor,
        t: Tensor,
        condition: Condition,
        *,
        cache: KVCache | None = None,
        write: bool = False,
        blocks: Sequence[int] = (),
    ) -> Output:
        """The sum of both flows on a whole clip; features are the network's."""
        if cache is not None:
            raise Misdescribed("a residual score judges whole clips, found a cache")
        given = flow(self.teacher, x_t, t, condition)
        seen = torch.cat([x_t, given], dim=1)  # [B, 2 C, T, H, W]
        if len(blocks) > 0:
            return self.network(seen, t, condition, blocks=blocks)
        return Output(given + flow(self.network, seen, t, condition))


def _ring_teacher(settings: RingBlobs, pixels: int, frames: int) -> RingTeacher:
    return RingTeacher(ring_videos(settings.speeds, settings.width, pixels, frames), settings.noise)


def _one_label_each(model: Model, wanted: int) -> None:
    found = len(model.text.labels) if isinstance(model.text, Labels) else 0
    if found != wanted:
        raise Misdescribed(f"the closed-form teacher wants model.text of {wanted} labels, found {found}")
