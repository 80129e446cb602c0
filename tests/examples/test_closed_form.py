"""The metrics of the closed-form tasks on clips whose figures are known."""

import numpy as np
import pytest
import torch
from torch import Tensor

from examples.closed_form import gaussian, ring
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.networks.gaussian_rotation import as_clips, as_vectors, covariance, exact_path
from fastgen_k8s.networks.ring_blobs import ring_videos

GAUSSIAN = get_experiment("closed_form/gaussian_kd")
RING = get_experiment("closed_form/ring_kd")
N = 4096
TURNS = ["turning left", "turning right"] * (N // 2)


def rotations() -> Tensor:
    """Exact clips of both prompts, in the order of TURNS."""
    eps = torch.randn(N, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    halves = [np.linalg.cholesky(covariance(0.9, angle, 2, 6).numpy()) for angle in (0.6, -0.6)]
    clips = [eps[prompt::2] @ torch.tensor(half.T) for prompt, half in enumerate(halves)]
    return as_clips(torch.stack(clips, dim=1).flatten(0, 1), 2)


def test_exact_clips_have_no_distance_beyond_the_estimates_and_unit_variance() -> None:
    found = gaussian.measure(GAUSSIAN, rotations(), TURNS)
    assert found["w2"] < 2 * (12 + 12**2 / 4) / (N / 2)
    assert [found[f"variance_chunk{k}"] for k in range(3)] == pytest.approx([1, 1, 1], abs=0.08)


def test_clips_of_the_other_prompt_are_far() -> None:
    assert gaussian.measure(GAUSSIAN, rotations(), TURNS[1:] + TURNS[:1])["w2"] > 5


def test_the_distance_between_known_gaussians_is_the_formula() -> None:
    """N(m, 4 I) and N(0, I) in 12 dimensions: |m|^2 + 12 (2 - 1)^2."""
    clips = 3 + 2 * torch.randn(100_000, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert gaussian.wasserstein(clips.numpy(), np.eye(12)) == pytest.approx(12 * 9 + 12, rel=0.01)


def test_no_linear_student_is_below_the_floor_and_the_best_one_is_at_it() -> None:
    """Least squares on exact paths, from what the second chunk sees of x_t to its clean frames."""
    eps = torch.randn(40_000, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    path = exact_path(as_clips(0.999 * eps, 2), 0.6, 0.9, (0.999, 0.833, 0.0))
    seen, wanted = as_vectors(path[:, 1, :, :4]).numpy(), as_vectors(path[:, 2, :, 2:4]).numpy()
    best, *_ = np.linalg.lstsq(seen, wanted)
    error = float(np.square(wanted - seen @ best).mean())
    assert error == pytest.approx(gaussian.floors(GAUSSIAN.model)[2, 1], rel=0.02)


def test_the_last_chunk_sees_everything_and_has_no_floor() -> None:
    assert float(np.abs(gaussian.floors(GAUSSIAN.model)[:, 2]).max()) < 1e-9


def bumps() -> tuple[Tensor, list[str]]:
    """Every video once, right ones first."""
    videos = ring_videos((1, 2), 2.0, 16, 6)
    return videos.flatten(0, 1), ["moving right"] * 32 + ["moving left"] * 32


def test_true_videos_have_no_error_the_right_prompt_and_all_modes() -> None:
    found = ring.measure(RING, *bumps())
    assert (found["mse"], found["prompt_accuracy"], found["modes"]) == pytest.approx((0, 1, 64))


def test_videos_of_the_other_prompt_are_counted_as_wrong() -> None:
    videos, prompts = bumps()
    assert ring.measure(RING, videos, prompts[::-1])["prompt_accuracy"] == 0


def test_one_video_many_times_is_one_mode() -> None:
    videos, _ = bumps()
    assert ring.measure(RING, videos[:1].expand(50, *videos.shape[1:]), ["moving right"] * 50)["modes"] == 1


def test_an_error_is_counted_in_its_own_chunk() -> None:
    videos, prompts = bumps()
    moved = videos + torch.tensor([0, 0, 0, 0, 0.3, 0.3])[:, None, None]
    found = ring.measure(RING, moved, prompts)
    assert [found[f"mse_chunk{k}"] for k in range(3)] == pytest.approx([0, 0, 0.09], abs=1e-6)


@pytest.mark.parametrize(
    ("measure", "its"), [(gaussian.measure, RING), (ring.measure, GAUSSIAN)], ids=["gaussian", "ring"]
)
def test_a_metric_of_another_task_is_refused(measure: "object", its: "object") -> None:
    with pytest.raises(Misdescribed, match=r"metric wants model\.teacher"):
        measure(its, torch.zeros(1, 2, 6, 1, 1), ["x"])  # pyright: ignore
