"""The demo's metric, checked on clips whose answer is known."""

import pytest
import torch
from torch import Tensor

from examples.moving_shapes.metric import confusion, measure, measure_videos, nearest, spread
from examples.moving_shapes.shapes import PROMPTS, centres, draw, kinds
from fastgen_k8s.diffusion.draws import generator
from fastgen_k8s.experiments import get_experiment
from tests.report_artifacts import codec

TWICE = [prompt for prompt in PROMPTS for _ in range(2)]
ACCURACIES = ("colour", "shape", "direction", "all", "left", "right", "up", "down")


def uniforms() -> Tensor:
    return torch.rand(len(TWICE), 2, generator=generator("metric"))


@pytest.fixture(scope="module")
def real() -> Tensor:
    """Two drawn clips of every prompt."""
    return draw(kinds(TWICE), uniforms())


@pytest.fixture(scope="module")
def of_real(real: Tensor) -> dict[str, float]:
    """What the metric says of them."""
    return measure_videos(real, TWICE)


@pytest.fixture(scope="module")
def of_round_trip(real: Tensor) -> dict[str, float]:
    """What it says of them behind the codec."""
    return measure(get_experiment("moving_shapes/sf"), codec().encode(real), TWICE)


def test_real_clips_are_recognised_without_error(of_real: dict[str, float]) -> None:
    assert [of_real[name] for name in ACCURACIES] == [1.0] * len(ACCURACIES)


def test_real_clips_have_no_distance_to_the_nearest_true_clip(of_real: dict[str, float]) -> None:
    assert of_real["mse x 100"] < 1e-3


def test_real_clips_are_as_sharp_as_real_clips(of_real: dict[str, float]) -> None:
    assert of_real["edge"] == pytest.approx(1, abs=1e-3)


def test_clips_behind_the_codec_are_recognised_without_error(of_round_trip: dict[str, float]) -> None:
    assert [of_round_trip[name] for name in ACCURACIES] == [1.0] * len(ACCURACIES)


def test_the_codec_loses_less_than_half_a_hundredth(of_round_trip: dict[str, float]) -> None:
    assert of_round_trip["mse x 100"] < 0.5


def test_positions_are_found_to_a_hundredth_of_a_pixel(real: Tensor) -> None:
    wanted = centres(kinds(TWICE)[:, 2], uniforms())
    torch.testing.assert_close(nearest(real).centre, wanted, atol=0.01, rtol=0)


def test_noise_is_recognised_at_chance(real: Tensor) -> None:
    noise = torch.randn(real.shape, generator=generator("noise"))
    assert measure_videos(noise, TWICE)["all"] < 0.1  # chance is 1/48, 96 clips


def test_a_blurred_clip_is_less_sharp(real: Tensor) -> None:
    blurred = torch.nn.functional.avg_pool3d(real, (1, 3, 3), 1, (0, 1, 1), count_include_pad=False)
    assert measure_videos(blurred, TWICE)["edge"] < 0.8


@pytest.mark.parametrize(
    ("other", "wrong"),
    [
        ("a blue disc moving left", {"colour"}),
        ("a red square moving left", {"shape"}),
        ("a red disc moving right", {"direction", "left"}),
    ],
)
def test_a_clip_of_another_prompt_is_wrong_in_what_differs(other: str, wrong: set[str]) -> None:
    found = measure_videos(draw(kinds([other]), torch.full((1, 2), 0.3)), ["a red disc moving left"])
    assert {name for name in ACCURACIES if found[name] == 0} == wrong | {"all"}


def test_the_confusion_matrix_shows_which_direction_was_seen() -> None:
    videos = draw(kinds(["a red disc moving up", "a red disc moving down"]), torch.full((2, 2), 0.5))
    seen = confusion(videos, ["a red disc moving down", "a red disc moving down"])
    torch.testing.assert_close(seen[3], torch.tensor([0, 0, 1, 1]))  # wanted down, seen up and down


def test_clips_that_all_lie_in_one_place_have_no_spread() -> None:
    assert spread(torch.full((4, 2), 12.0), torch.zeros(4, 3, dtype=torch.long)) == {"spread": 0.0}


def test_drawn_clips_have_a_spread_of_one() -> None:
    kind = kinds(PROMPTS).repeat(40, 1)
    centre = centres(kind[:, 2], torch.rand(len(kind), 2, generator=generator("spread")))
    assert spread(centre, kind)["spread"] == pytest.approx(1, abs=0.05)


def test_single_clips_say_nothing_of_spread(real: Tensor) -> None:
    assert "spread" not in measure_videos(real[:2], TWICE[1:3])
