"""Clips drawn from a formula: one coloured shape that crosses a dark square frame at constant speed."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from fastgen_k8s.errors import BadInput

SIZE = 24  # pixels, both ways
FRAMES = 9
RADIUS = 5.0  # pixels
SPEED = 2.0  # pixels a frame
SOFTNESS = 2.0  # pixels over which an edge fades
MIDDLE = SIZE / 2
ALONG = (MIDDLE - 2, MIDDLE + 2)  # where the middle frame's centre may be, along the motion
ACROSS = (MIDDLE - 6, MIDDLE + 6)  # and across it

BACKGROUND = (-0.8, -0.8, -0.8)  # videos are in [-1, 1]
COLOURS: Mapping[str, tuple[float, float, float]] = {
    "red": (0.85, -0.6, -0.6),
    "green": (-0.6, 0.65, -0.4),
    "blue": (-0.5, -0.2, 0.9),
    "yellow": (0.9, 0.75, -0.6),
}
DIRECTIONS: Mapping[str, tuple[float, float]] = {  # x to the right, y down
    "left": (-1.0, 0.0),
    "right": (1.0, 0.0),
    "up": (0.0, -1.0),
    "down": (0.0, 1.0),
}


def disc(x: Tensor, y: Tensor) -> Tensor:
    """Signed distance to a disc around the origin, negative inside."""
    return (x * x + y * y).sqrt() - RADIUS


def square(x: Tensor, y: Tensor) -> Tensor:
    """Signed distance to a square around the origin, a little narrower than the disc so that areas are close."""
    return torch.maximum(x.abs(), y.abs()) - 0.9 * RADIUS


def triangle(x: Tensor, y: Tensor) -> Tensor:
    """Signed distance to an upright triangle: the largest of those to its three sides."""
    slopes = 3**0.5 / 2 * x.abs() - 0.5 * y
    return torch.maximum(slopes, y) - 0.7 * RADIUS


SHAPES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"disc": disc, "square": square, "triangle": triangle}
KINDS = tuple((colour, shape, direction) for colour in COLOURS for shape in SHAPES for direction in DIRECTIONS)
PROMPTS = tuple(f"a {colour} {shape} moving {direction}" for colour, shape, direction in KINDS)


def kinds(prompts: Sequence[str]) -> Tensor:
    """Index [N, 3] of colour, shape and direction of each prompt; BadInput for a prompt of other words."""
    unknown = next((prompt for prompt in prompts if prompt not in PROMPTS), None)
    if unknown is not None:
        raise BadInput(f"wanted a prompt like {PROMPTS[0]!r}, found {unknown!r}")
    names = [KINDS[PROMPTS.index(prompt)] for prompt in prompts]
    colours, shapes, directions = list(COLOURS), list(SHAPES), list(DIRECTIONS)
    return torch.tensor([(colours.index(c), shapes.index(s), directions.index(d)) for c, s, d in names])


def centres(direction: Tensor, uniform: Tensor) -> Tensor:
    """Centre (x, y) [N, 2] of the middle frame from two uniform numbers [N, 2], along and across the motion."""
    low, high = torch.tensor([ALONG, ACROSS], dtype=uniform.dtype).unbind(1)
    along_across = low + (high - low) * uniform  # [N, 2]
    moves_in_y = headings()[direction][:, 1] != 0  # [N]
    return torch.where(moves_in_y[:, None], along_across.flip(1), along_across)


def headings() -> Tensor:
    """Unit vectors (x, y) [4, 2] of the directions."""
    return torch.tensor(list(DIRECTIONS.values()))


def masks(shape: Tensor, direction: Tensor, centre: Tensor) -> Tensor:
    """How much of each pixel the shape covers, in [0, 1] [N, F, H, W], for indices [N] and centres [N, 2]."""
    steps = torch.arange(FRAMES) - FRAMES // 2  # [F]
    place = centre[:, None] + SPEED * steps[:, None] * headings()[direction][:, None]  # [N, F, 2]
    pixels = torch.arange(SIZE) + 0.5
    x = pixels - place[..., 0, None]  # [N, F, W]
    y = pixels - place[..., 1, None]  # [N, F, H]
    covered = torch.empty(*x.shape[:2], SIZE, SIZE)
    for index, distance in enumerate(SHAPES.values()):
        rows = shape == index
        covered[rows] = (0.5 - distance(x[rows][..., None, :], y[rows][..., None]) / SOFTNESS).clamp(0, 1)
    return covered


def paint(mask: Tensor, colour: Tensor) -> Tensor:
    """Clips [N, 3, F, H, W] in [-1, 1]: the background, and the colour [N] where the mask covers it."""
    background = torch.tensor(BACKGROUND)[None, :, None, None, None]
    return background + mask[:, None] * contrasts()[colour][:, :, None, None, None]


def contrasts() -> Tensor:
    """Each colour minus the background [4, 3]."""
    return torch.tensor(list(COLOURS.values())) - torch.tensor(BACKGROUND)


def draw(kind: Tensor, uniform: Tensor) -> Tensor:
    """Clips [N, 3, F, H, W] of kinds [N, 3] at the places that uniform numbers [N, 2] choose."""
    colour, shape, direction = kind.unbind(1)
    return paint(masks(shape, direction, centres(direction, uniform)), colour)
