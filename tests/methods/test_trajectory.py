"""The teacher's trajectories: states at exact times, guidance, and one chunk after another."""

import pytest
import torch
from torch import Tensor

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.experiments.schema import Pairs
from fastgen_k8s.methods.method import for_batch
from fastgen_k8s.methods.trajectory import trajectory
from fastgen_k8s.networks.gaussian_rotation import as_vectors, exact_path, law, noised_variances
from fastgen_k8s.networks.load import build_teacher
from fastgen_k8s.networks.network import guided_flow

MODEL = get_experiment("closed_form/gaussian_kd").model  # 2 numbers, 6 frames in chunks of 2
TEACHER = build_teacher(MODEL, None)
B = 16
NOTHING = {"text": torch.zeros(1, 1, 2)}
LEFT = {"text": torch.tensor([[[1.0, 0.0]]]).expand(B, 1, 2)}


def noise() -> Tensor:
    return torch.randn(B, 2, 6, 1, 1, generator=torch.Generator().manual_seed(0))


def pairs(**settings: object) -> Pairs:
    return Pairs.parse({"guidance": 1.0, **settings}, "test")


def test_states_are_those_of_the_exact_path_at_the_times_of_t_list() -> None:
    path, _ = trajectory(TEACHER, noise(), LEFT, NOTHING, MODEL, pairs())
    exact = exact_path(MODEL.max_t * noise(), 0.6, 0.9, MODEL.times)
    torch.testing.assert_close(path, exact.float(), atol=5e-4, rtol=0)


@pytest.mark.parametrize("teacher", ["bidirectional", "autoregressive"])
def test_the_first_state_is_the_scaled_noise(teacher: str) -> None:
    path, latent = trajectory(TEACHER, noise(), LEFT, NOTHING, MODEL, pairs(teacher=teacher))
    torch.testing.assert_close(path[:, 0], MODEL.max_t * noise())
    assert (path.shape, latent.shape) == ((B, 4, 2, 6, 1, 1), (B, 2, 6, 1, 1))


def test_a_sample_of_an_autoregressive_teacher_does_not_depend_on_the_noise_of_later_chunks() -> None:
    other = noise()
    other[:, :, 4:] += 1
    first, second = (
        trajectory(TEACHER, eps, LEFT, NOTHING, MODEL, pairs(teacher="autoregressive"))[1] for eps in (noise(), other)
    )
    assert torch.equal(first[:, :, :4], second[:, :, :4])
    assert not torch.equal(first[:, :, 4:], second[:, :, 4:])


def test_an_autoregressive_teacher_solves_a_chunk_on_the_clean_chunks_before_it() -> None:
    eps = noise().double()
    settings = pairs(teacher="autoregressive", solver="heun", solver_steps=150)
    _, latent = trajectory(TEACHER, eps, LEFT, NOTHING, MODEL, settings)
    its = law(0.9, 0.6, 2, 2, 4)
    mean = as_vectors(latent[:, :, :2]) @ its.gain.T
    along = (0.999 * as_vectors(eps[:, :, 2:4]) - 0.001 * mean) @ its.basis  # x_t without the mean's share of x0
    start = noised_variances(its.variances, torch.tensor([0.999], dtype=torch.float64))
    exact = mean + along * (its.variances / start).sqrt() @ its.basis.T
    torch.testing.assert_close(as_vectors(latent[:, :, 2:4]), exact, atol=0.01, rtol=0)


def test_guidance_is_the_standard_form() -> None:
    x_t, negative, t = noise(), for_batch(NOTHING, B), torch.full((B,), 0.8, dtype=torch.float64)
    conditional, unconditional, guided = (
        guided_flow(TEACHER, x_t, t, condition, negative, guidance)
        for condition, guidance in ((LEFT, 1.0), (negative, 1.0), (LEFT, 3.0))
    )
    torch.testing.assert_close(guided, unconditional + 3 * (conditional - unconditional))


def test_guidance_away_from_the_prompt_itself_changes_nothing_in_any_chunk() -> None:
    """So both terms see the same past, each in a cache of its own."""
    same = {"text": LEFT["text"][:1]}
    plain, guided = (
        trajectory(TEACHER, noise(), LEFT, same, MODEL, pairs(teacher="autoregressive", guidance=guidance))[1]
        for guidance in (1.0, 3.0)
    )
    torch.testing.assert_close(plain, guided, atol=1e-4, rtol=0)


def test_an_autoregressive_teacher_without_chunks_is_refused() -> None:
    with pytest.raises(Misdescribed, match=r"wants model\.chunk_size, found null"):
        whole = MODEL.override("chunk_size=null")
        trajectory(TEACHER, noise(), LEFT, NOTHING, whole, pairs(teacher="autoregressive"))


def test_a_trajectory_leaves_no_gradient() -> None:
    path, latent = trajectory(TEACHER, noise().requires_grad_(), LEFT, NOTHING, MODEL, pairs())
    assert not path.requires_grad and not latent.requires_grad
