"""The demo's drawn clips."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from examples.moving_shapes import shapes
from examples.moving_shapes.shapes import (
    ACROSS,
    ALONG,
    COLOURS,
    DIRECTIONS,
    PROMPTS,
    SHAPES,
    SPEED,
    centres,
    draw,
    kinds,
)
from fastgen_k8s.errors import BadInput

HALF = torch.full((1, 2), 0.5)


def mass_centre(video: Tensor) -> Tensor:
    """Mean position (x, y) [F, 2] of what is not background in a clip [3, F, H, W]."""
    shown = (video - torch.tensor(shapes.BACKGROUND)[:, None, None, None]).abs().sum(0)  # [F, H, W]
    pixels = torch.arange(shapes.SIZE) + 0.5
    total = shown.sum((1, 2))
    return torch.stack([(shown.sum(1) * pixels).sum(1) / total, (shown.sum(2) * pixels).sum(1) / total], 1)


def test_the_prompt_file_lists_every_kind_of_clip_once() -> None:
    assert Path("examples/moving_shapes/prompts.txt").read_text().splitlines() == list(PROMPTS)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_shape_moves_as_its_prompt_says(direction: str) -> None:
    video = draw(kinds([f"a red square moving {direction}"]), HALF)[0]
    middle = mass_centre(video)[3:6]  # whole in these frames
    wanted = SPEED * torch.tensor(DIRECTIONS[direction])
    torch.testing.assert_close(middle.diff(dim=0), wanted.expand(2, 2), atol=0.05, rtol=0)


@pytest.mark.parametrize("colour", COLOURS)
def test_the_middle_of_a_shape_has_its_prompts_colour(colour: str) -> None:
    video = draw(kinds([f"a {colour} disc moving up"]), HALF)[0]
    torch.testing.assert_close(video[:, 4, 12, 12], torch.tensor(COLOURS[colour]))


def test_shapes_of_one_colour_and_motion_differ() -> None:
    videos = draw(kinds([f"a blue {shape} moving left" for shape in SHAPES]), HALF.expand(3, 2))
    assert torch.cdist(videos.flatten(1), videos.flatten(1)).topk(2, largest=False).values[:, 1].min() > 5


@pytest.mark.parametrize(("direction", "along", "across"), [("left", 0, 1), ("down", 1, 0)])
def test_centres_fill_their_range_along_and_across_the_motion(direction: str, along: int, across: int) -> None:
    index = torch.full((2,), list(DIRECTIONS).index(direction))
    centre = centres(index, torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
    torch.testing.assert_close(centre[:, [along, across]].T, torch.tensor([ALONG, ACROSS]))


def test_a_prompt_of_other_words_is_refused() -> None:
    with pytest.raises(BadInput, match="found 'a pink disc moving left'"):
        kinds(["a pink disc moving left"])
