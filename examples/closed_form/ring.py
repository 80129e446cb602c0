"""How well clips follow the moving bumps on a ring (task B). `closed_form/ring_*` name `measure` as their metric."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fastgen_k8s.diffusion.chunks import chunk_slices
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.experiments.encoders import Labels
from fastgen_k8s.experiments.families.ring_blobs import RingBlobs
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.experiments.schema import Experiment
from fastgen_k8s.methods.rollout import sizes
from fastgen_k8s.networks.ring_blobs import ring_videos


def measure(experiment: Experiment, latents: Tensor, prompts: Sequence[str]) -> dict[str, float]:
    """Distance to the nearest true video, whether it is one of the prompt's, how many are met, and drift by chunk."""
    model = experiment.model
    videos, labels = _videos(model)
    each = videos.shape[1]
    clips, every = latents.double(), videos.flatten(0, 1)  # [N, C, T, 1, 1], [P * V, C, T, 1, 1]
    nearest = torch.cdist(clips.flatten(1), every.flatten(1)).argmin(1)  # [N]
    error = (clips - every[nearest]) ** 2
    wanted = torch.tensor([labels.index(prompt) for prompt in prompts])
    spans = chunk_slices(sizes(model, model.latent[1]))
    return {
        "mse": float(error.mean()),
        "prompt_accuracy": float((nearest // each == wanted).double().mean()),
        "modes": effective_modes(nearest, len(every)),
        **{f"mse_chunk{k}": float(error[:, :, frames].mean()) for k, frames in enumerate(spans)},
    }


def effective_modes(nearest: Tensor, modes: int) -> float:
    """exp(entropy) of how often each mode is the nearest [N]: `modes` when all are met equally often."""
    share = torch.bincount(nearest, minlength=modes).double() / len(nearest)
    met = share[share > 0]
    return float((-met * met.log()).sum().exp())


def _videos(model: Model) -> tuple[Tensor, tuple[str, ...]]:
    if not isinstance(model.teacher, RingBlobs) or not isinstance(model.text, Labels):
        raise Misdescribed("the ring's metric wants model.teacher 'ring_blobs' with labels, found another")
    return ring_videos(model.teacher.speeds, model.teacher.width, *model.latent[:2]), model.text.labels
