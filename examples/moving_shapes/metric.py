"""What a clip shows, without a learned classifier: the nearest clip that could have been drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from examples.moving_shapes.shapes import (
    ACROSS,
    ALONG,
    BACKGROUND,
    DIRECTIONS,
    MIDDLE,
    SHAPES,
    contrasts,
    headings,
    kinds,
    masks,
    paint,
)
from fastgen_k8s.experiments.schema import Experiment
from fastgen_k8s.networks.by_kind import load_codec

TEACHER = Path(__file__).parent / "teacher"  # whose codec every latent of this demo is in
MARGIN = 2  # pixels beyond where real clips are, so that a displaced one is still recognised
FINALISTS = 3  # (shape, direction) pairs whose positions are refined
REFINEMENTS = 5
STEP = 0.05  # pixels, of the numerical derivative


@dataclass(frozen=True)
class Fit:
    """The nearest true clip of each of N clips."""

    kind: Tensor  # [N, 3], indices of colour, shape and direction
    centre: Tensor  # [N, 2], of the middle frame
    clip: Tensor  # [N, 3, F, H, W]
    error: Tensor  # [N], mean squared distance to it


def measure(experiment: Experiment, latents: Tensor, prompts: Sequence[str]) -> dict[str, float]:
    """The demo's numbers for latents [N, 24, 9, 3, 3] that were made for N prompts."""
    codec = load_codec(experiment.model.codec, TEACHER)
    assert codec is not None  # moving shapes are pixels
    parts = [codec.decode(part) for part in torch.split(latents.float(), 64)]
    return measure_videos(torch.cat(parts), prompts)


def measure_videos(videos: Tensor, prompts: Sequence[str], batch: int = 64) -> dict[str, float]:
    """Accuracies, mean squared error x 100, sharpness and spread of videos [N, 3, F, H, W]."""
    parts = torch.split(videos, batch)
    fits = [nearest(part) for part in parts]
    kind, centre = torch.cat([fit.kind for fit in fits]), torch.cat([fit.centre for fit in fits])
    wanted = kinds(prompts)
    right = kind == wanted  # [N, 3]
    edges = torch.cat([sharpness(part, fit.clip) for part, fit in zip(parts, fits, strict=True)])
    return {
        "colour": share(right[:, 0]),
        "shape": share(right[:, 1]),
        "direction": share(right[:, 2]),
        "all": share(right.all(1)),
        **{name: share(right[wanted[:, 2] == index, 2]) for index, name in enumerate(DIRECTIONS)},
        "mse x 100": 100 * float(torch.cat([fit.error for fit in fits]).mean()),
        "edge": float(edges.mean()),
        **spread(centre, wanted),
    }


def confusion(videos: Tensor, prompts: Sequence[str]) -> Tensor:
    """How often a wanted direction (row) was seen as which (column): counts [4, 4].

    An average hides a teacher that never learned the sign of a motion.
    """
    found, wanted = nearest(videos).kind[:, 2], kinds(prompts)[:, 2]
    return torch.bincount(4 * wanted + found, minlength=16).view(4, 4)


def share(hits: Tensor) -> float:
    """The part of true values [N]; of none of them, 1: nothing was wrong."""
    return float(hits.double().mean()) if len(hits) else 1.0


def sharpness(videos: Tensor, true: Tensor) -> Tensor:
    """Least squares slope of a clip's spatial differences on those of the nearest true clip, [N]: 1 is as sharp."""
    here, there = differences(videos), differences(true)  # [N, M]
    return (here * there).sum(1) / (there * there).sum(1)


def differences(videos: Tensor) -> Tensor:
    """Differences of neighbouring pixels, in both directions [N, M]."""
    return torch.cat([videos.diff(dim=3).flatten(1), videos.diff(dim=4).flatten(1)], dim=1)


def spread(centre: Tensor, kind: Tensor) -> dict[str, float]:
    """Deviation of centres [N, 2] around their prompt's mean, along and across, relative to drawn clips' (1).

    Clips of one prompt differ by nothing but their centre. Where every prompt has a single clip there is no spread.
    """
    prompt = kind @ torch.tensor([len(SHAPES) * len(DIRECTIONS), len(DIRECTIONS), 1])  # [N]
    counts = torch.bincount(prompt)  # [P]
    freedom = len(centre) - int((counts > 0).sum())
    if freedom == 0:
        return {}
    means = torch.zeros(len(counts), 2).index_add(0, prompt, centre) / counts.clamp(min=1)[:, None]  # [P, 2]
    around = centre - means[prompt]  # [N, 2], in (x, y)
    moves_in_y = headings()[kind[:, 2], 1] != 0
    along_across = torch.where(moves_in_y[:, None], around.flip(1), around)
    variance = along_across.square().sum(0) / freedom  # [2]
    drawn = torch.tensor([(high - low) / 12**0.5 for low, high in (ALONG, ACROSS)])
    return {"spread": float((variance.sqrt() / drawn).mean())}


# --- the nearest true clip --------------------------------------------------------------------------------------------


def nearest(videos: Tensor) -> Fit:
    """The nearest true clip of videos [N, 3, F, H, W]: all places a pixel apart, then the best ones refined."""
    shape, direction, centre = (part.flatten(0, 1) for part in _finalists(videos))  # each [N * FINALISTS, ...]
    repeated = videos.repeat_interleave(FINALISTS, 0)
    for _ in range(REFINEMENTS):
        centre = _refined(repeated, shape, direction, centre)
    error, colour = _errors(repeated, masks(shape, direction, centre))  # [N * FINALISTS]
    best = error.view(-1, FINALISTS).argmin(1) + FINALISTS * torch.arange(len(videos))
    kind = torch.stack([colour, shape, direction], 1)[best]
    clip = paint(masks(shape[best], direction[best], centre[best]), colour[best])
    return Fit(kind, centre[best], clip, (videos - clip).square().flatten(1).mean(1))


def gain(projection: Tensor, area: Tensor) -> Tensor:
    """How much closer than the plain background a mask in each colour is, [..., 4].

    |V - m d|^2 = |V|^2 - 2 <V, m d> + |m|^2 |d|^2 for the video V minus the background, a mask m and a contrast d,
    so the projections <V_channel, m> [..., 3] and the area |m|^2 [...] say all.
    """
    d = contrasts()  # [4, 3]
    return 2 * projection @ d.T - area[..., None] * d.square().sum(1)


def _foreground(videos: Tensor) -> Tensor:
    return videos - torch.tensor(BACKGROUND)[None, :, None, None, None]


def _errors(videos: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distance [N] to the mask [N, F, H, W] in its best colour, up to a constant of the video, and it [N]."""
    projection = torch.einsum("ncfhw,nfhw->nc", _foreground(videos), mask)
    value, colour = gain(projection, mask.square().flatten(1).sum(1)).max(1)
    return -value, colour


def _finalists(videos: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Shape, direction [N, K] and centre [N, K, 2] of the K best (shape, direction) pairs on a grid of one pixel."""
    table, shape, direction, centre = _grid()
    projection = _foreground(videos).flatten(2) @ table.T  # [N, 3, 12 * P]
    value = gain(projection.transpose(1, 2), table.square().sum(1)).amax(2)  # [N, 12 * P]
    per_kind = value.view(len(videos), len(SHAPES) * len(DIRECTIONS), -1)
    best, place = per_kind.max(2)  # [N, 12]
    chosen = best.topk(FINALISTS, dim=1).indices  # [N, K]
    row = chosen * per_kind.shape[2] + place.gather(1, chosen)
    return shape[row], direction[row], centre[row]


def _grid() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Masks [M, F * H * W], shapes and directions [M], centres [M, 2] of all places a pixel apart."""
    along, across = (torch.arange(low - MARGIN, high + MARGIN + 1) for low, high in (ALONG, ACROSS))
    wide = torch.cartesian_prod(along, across)  # [P, 2]: (x, y) of sideways motion
    places = [wide.flip(1) if heading[1] else wide for heading in headings()]  # per direction
    places = torch.stack(places).repeat(len(SHAPES), 1, 1)  # [12, P, 2]
    kind = torch.cartesian_prod(torch.arange(len(SHAPES)), torch.arange(len(DIRECTIONS)))
    shape, direction = kind.repeat_interleave(places.shape[1], 0).unbind(1)
    centre = places.flatten(0, 1)
    return masks(shape, direction, centre).flatten(1), shape, direction, centre


def _refined(videos: Tensor, shape: Tensor, direction: Tensor, centre: Tensor) -> Tensor:
    """One Gauss-Newton step on the centre [N, 2], of at most a pixel, within a few pixels of the middle."""
    here = masks(shape, direction, centre)
    _, colour = _errors(videos, here)
    contrast = contrasts()[colour]  # [N, 3]
    strength = contrast.square().sum(1)  # [N]
    residual = torch.einsum("ncfhw,nc->nfhw", _foreground(videos), contrast) - here * strength[:, None, None, None]
    ahead = [masks(shape, direction, centre + STEP * axis) for axis in torch.eye(2)]
    behind = [masks(shape, direction, centre - STEP * axis) for axis in torch.eye(2)]
    slopes = torch.stack([(a - b) / (2 * STEP) for a, b in zip(ahead, behind, strict=True)], 1).flatten(2)  # [N, 2, M]
    normal = strength[:, None, None] * slopes @ slopes.transpose(1, 2) + 1e-3 * torch.eye(2)
    step = solved(normal, (slopes @ residual.flatten(1)[..., None]).squeeze(2))
    return (centre + step.clamp(-1, 1)).clamp(MIDDLE - 10, MIDDLE + 10)


def solved(matrix: Tensor, right: Tensor) -> Tensor:
    """Solutions [N, 2] of 2 x 2 equations by Cramer's rule."""
    (a, b), (c, d) = (row.unbind(1) for row in matrix.unbind(1))
    u, v = right.unbind(1)
    return torch.stack([d * u - b * v, a * v - c * u], 1) / (a * d - b * c)[:, None]
