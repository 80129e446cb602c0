"""The exact teacher of bumps that move on a ring: p0 is the mean of N(V_i, noise^2) over a prompt's videos."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fastgen_k8s.experiments.families.ring_blobs import RingBlobs
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.networks.by_kind import Family
from fastgen_k8s.networks.closed_form import (
    ClosedFormFamily,
    clean_past,
    one_label_each,
    one_time,
    prompt_prior,
    remember,
)
from fastgen_k8s.networks.network import Condition, KVCache, Network, Output


def bump(pixels: int, width: float) -> Tensor:
    """A Gaussian bump at place 0 of a ring [pixels], standardised to mean 0 and variance 1 over the pixels."""
    place = torch.arange(pixels, dtype=torch.float64)
    distance = torch.minimum(place, pixels - place)
    shape = (-(distance**2) / (2 * width**2)).exp()
    return (shape - shape.mean()) / shape.std(correction=0)


def ring_videos(speeds: Sequence[int], width: float, pixels: int, frames: int) -> Tensor:
    """All videos [label, speed * place, C, T, 1, 1]: label 0 moves right, label 1 left, from each place."""
    profile = bump(pixels, width)
    labels = [
        [
            torch.stack([profile.roll(place + way * speed * frame) for frame in range(frames)], dim=1)
            for speed in speeds
            for place in range(pixels)
        ]
        for way in (1, -1)
    ]
    return torch.stack([torch.stack(videos) for videos in labels])[..., None, None]


class RingTeacher(Network):
    """The exact flow. Its one block is the posterior over all videos, the features that a discriminator may read."""

    videos: Tensor

    def __init__(self, videos: Tensor, noise: float) -> None:
        super().__init__()
        self.register_buffer("videos", videos, persistent=False)  # [P, V, C, T, 1, 1]
        self.noise, self.readable = noise, (1, videos.shape[0] * videos.shape[1])
        self.blocks = nn.ModuleList()

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
        """The posterior mean of eps - x0, given the clean frames in the cache."""
        time, past = one_time(t), clean_past(cache, x_t)
        begin = past.shape[2]
        each = self.videos.shape[1]
        videos = self.videos.double().flatten(0, 1)  # [P * V, C, T, 1, 1]
        before, here = videos[:, :, :begin].flatten(1), videos[:, :, begin : begin + x_t.shape[2]].flatten(1)
        x, scale = x_t.double().flatten(1), (1 - time)[:, None]
        variance = scale**2 * self.noise**2 + time[:, None] ** 2  # [B, 1]
        evidence = (
            prompt_prior(condition).repeat_interleave(each, dim=1)
            - squared_distance(past.double().flatten(1), before, torch.ones_like(scale)) / (2 * self.noise**2)
            - squared_distance(x, here, scale) / (2 * variance)
        )
        weights = evidence.softmax(dim=1)  # [B, P * V]
        if len(blocks) > 0:
            return Output(None, (weights[:, None].to(x_t.dtype),) * len(blocks))
        mean = weights @ here  # [B, C * T], of the video
        slope = (time[:, None] - scale * self.noise**2) / variance
        flow = slope * (x - scale * mean) - mean
        remember(cache, x_t, time, write)
        return Output(flow.reshape(x_t.shape).to(x_t.dtype))


def squared_distance(x: Tensor, videos: Tensor, scale: Tensor) -> Tensor:
    """|x - scale V_i|^2 [B, N] of vectors x [B, n] and videos [N, n], at a scale [B, 1] per sample."""
    return (x**2).sum(1, keepdim=True) - 2 * scale * (x @ videos.T) + scale**2 * (videos**2).sum(1)


def exact(settings: RingBlobs, model: Model) -> RingTeacher:
    """The teacher of a model, whose channels are the ring's pixels; Misdescribed when they do not fit."""
    one_label_each(model, 2)
    return RingTeacher(ring_videos(settings.speeds, settings.width, *model.latent[:2]), settings.noise)


FAMILY: Family = ClosedFormFamily(exact)
