"""Teachers known in closed form: their family, a critic that starts as such a teacher, and what they share."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.networks.by_kind import network_family_of
from fastgen_k8s.networks.network import Condition, KVCache, Network, Output, flow


class ClosedFormFamily:
    """`Family` of an exact teacher; its students, which have weights, are of the model's network's family."""

    def __init__(self, exact: Callable[[Any, Model], Network]) -> None:
        self.exact = exact  # of the settings `model.teacher`, and a model of latents of 1 x 1

    def student(self, model: Model, folder: Path | None) -> Network:
        """As `Family` says: there are no weights to start from."""
        return network_family_of(model).student(model, None)

    def teacher(self, model: Model, folder: Path | None) -> Network:
        """As `Family` says; Misdescribed when the settings do not fit the model."""
        if model.latent[2:] != (1, 1):
            height, width = model.latent[2:]
            raise Misdescribed(f"a closed-form teacher wants a latent of 1 x 1, found {height} x {width}")
        return self.exact(model.teacher, model)

    def fake_score(self, model: Model, folder: Path | None, init: Literal["teacher", "random"]) -> Network:
        """As `Family` says: no weights can be copied, so the teacher is corrected by a network that starts at zero."""
        family = network_family_of(model)
        if init == "random":
            return family.fake_score(model, None, init)
        return ResidualScore(self.teacher(model, folder).requires_grad_(False).eval(), family.correction(model))


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


def one_label_each(model: Model, wanted: int) -> None:
    """Refuse a model without a label for each law of a closed form (Misdescribed)."""
    if (found := model.text.numbers or 0) != wanted:
        raise Misdescribed(f"the closed-form teacher wants model.text of {wanted} labels, found {found}")


def one_time(t: Tensor) -> Tensor:
    """Times [B] or equal ones [B, T] as [B] in float64: a closed form knows one time a sample."""
    if t.dim() == 2 and not bool((t == t[:, :1]).all()):
        raise Misdescribed("a closed-form teacher wants one time a sample, found times that differ between frames")
    return (t[:, 0] if t.dim() == 2 else t).double()


def prompt_prior(condition: Condition) -> Tensor:
    """Log weights [B, P] of the prompts: a one-hot label is certain, zeros (no prompt) make all equal."""
    text = condition["text"].double().sum(1)  # [B, P]
    absent = text.sum(1, keepdim=True) == 0
    return torch.where(absent, torch.ones_like(text), text).log()


def clean_past(cache: KVCache | None, x_t: Tensor) -> Tensor:
    """The frames [B, C, past, H, W] that a cache holds; none without one."""
    if cache is None or cache.frames == 0:
        return x_t[:, :, :0]
    frames = cache.layers[0][0]  # [B, past, C, H * W]
    return frames.transpose(1, 2).reshape(len(x_t), x_t.shape[1], cache.frames, *x_t.shape[3:])


def remember(cache: KVCache | None, x_t: Tensor, t: Tensor, write: bool) -> None:
    """Append the frames of x_t, which must be clean, to the cache."""
    if not write or cache is None:
        return
    if bool(t.any()):
        raise Misdescribed("a closed-form teacher wants a clean past, found frames written at a time above 0")
    frames = x_t.flatten(3).transpose(1, 2)  # [B, T, C, H * W]
    cache.append({0: (frames, frames)}, x_t.shape[2])
