"""The student's rollout: chunk by chunk, with one step that learns."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from fastgen_k8s.diffusion.draws import KeyedDraws
from fastgen_k8s.diffusion.schedule import add_noise, flow_to_eps
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.experiments.method import DistributionMatchingSettings, Rollout
from fastgen_k8s.methods.rollout import draw_exits, rollout, sample
from fastgen_k8s.networks.load import build_student
from fastgen_k8s.networks.network import KVCache, flow, x0
from tests.methods.fixed import Fixed

MODEL = get_experiment("closed_form/gaussian_kd").model.override("network.num_layers=1")  # 6 frames in chunks of 2
WHOLE = MODEL.override("chunk_size=null")
STUDENT, WHOLE_STUDENT = build_student(MODEL, None), build_student(WHOLE, None)
B, LAST = 3, 3
CONDITION = {"text": torch.eye(2)[torch.arange(B) % 2][:, None]}
DRAWS = KeyedDraws(0, 1, range(B))
EPS = DRAWS.normal("noise", (2, 6, 1, 1))


def roll(eps: Tensor = EPS, exits: tuple[int, ...] = (LAST,) * 3, gradient_from: int = 0, **settings: object) -> Tensor:
    how = Rollout.parse(settings, "test")
    return rollout(STUDENT, eps, CONDITION, MODEL, DRAWS, how, exits=exits, gradient_from=gradient_from)


def times(t: float) -> Tensor:
    return torch.full((B,), t, dtype=torch.float64)


@pytest.mark.parametrize("renoise", ["sde", "ode"])
def test_a_chunk_steps_along_t_list_and_ends_with_its_last_x0(renoise: str) -> None:
    fresh = DRAWS.normal("renoise", (3, 2, 6, 1, 1))[:, :, :, :2]
    with torch.no_grad():
        cache, x_t, clean = KVCache(), MODEL.t_list[0] * EPS[:, :, :2], torch.empty(0)
        for step, t in enumerate(MODEL.times):
            v = flow(STUDENT, x_t, times(t), CONDITION, cache=cache)
            clean = x0(STUDENT, x_t, times(t), CONDITION, cache=cache)
            if step < LAST:
                noise = fresh[:, step] if renoise == "sde" else flow_to_eps(v, x_t, times(t))
                x_t = add_noise(clean, noise, times(MODEL.t_list[step + 1]))
    torch.testing.assert_close(roll(renoise=renoise)[:, :, :2], clean)


def test_a_later_chunk_sees_the_finished_ones_as_clean() -> None:
    clip = roll(exits=(LAST, 0, 0))
    with torch.no_grad():
        cache = KVCache()
        flow(STUDENT, clip[:, :, :2], times(0), CONDITION, cache=cache, write=True)
        wanted = x0(STUDENT, MODEL.t_list[0] * EPS[:, :, 2:4], times(MODEL.t_list[0]), CONDITION, cache=cache)
    torch.testing.assert_close(clip[:, :, 2:4], wanted)


def test_with_context_noise_a_later_chunk_sees_the_finished_ones_noised_at_that_time() -> None:
    clip = roll(exits=(LAST, 0, 0), context_noise=0.1)
    with torch.no_grad():
        cache, noise = KVCache(), DRAWS.normal("context/0", (2, 2, 1, 1))
        context = add_noise(clip[:, :, :2], noise, times(0.1))
        flow(STUDENT, context, times(0.1), CONDITION, cache=cache, write=True)
        wanted = x0(STUDENT, MODEL.t_list[0] * EPS[:, :, 2:4], times(MODEL.t_list[0]), CONDITION, cache=cache)
    torch.testing.assert_close(clip[:, :, 2:4], wanted)


def test_an_earlier_chunk_does_not_depend_on_the_noise_of_a_later_one() -> None:
    other = torch.cat([EPS[:, :, :4], EPS[:, :, 4:] + 1], dim=2)
    assert torch.equal(roll()[:, :, :4], roll(other)[:, :, :4])


def test_a_student_of_whole_clips_takes_all_frames_at_once() -> None:
    found = rollout(WHOLE_STUDENT, EPS, CONDITION, WHOLE, DRAWS, Rollout(), exits=(0,))
    torch.testing.assert_close(found, x0(WHOLE_STUDENT, WHOLE.t_list[0] * EPS, times(WHOLE.t_list[0]), CONDITION))


def test_only_the_last_step_of_a_chunk_has_a_gradient() -> None:
    """The gradient by the noise would be another one through the earlier steps; here it stops at the last state."""
    eps = EPS.clone().requires_grad_()
    total = roll(eps).sum()
    gradients = torch.autograd.grad(total, [eps, *STUDENT.parameters()], allow_unused=True)
    assert gradients[0] is None
    assert all(gradient is not None for gradient in gradients[1:])


def test_no_gradient_runs_through_the_cache_into_an_earlier_chunk() -> None:
    eps = EPS.clone().requires_grad_()
    (found,) = torch.autograd.grad(roll(eps, exits=(0, 0, 0))[:, :, 4:].sum(), eps)
    assert int(found[:, :, :4].count_nonzero()) == 0
    assert int(found[:, :, 4:].count_nonzero()) > 0


@pytest.mark.parametrize(("first", "learning"), [(0, 3), (1, 2), (2, 2), (4, 1), (6, 0)])
def test_chunks_that_begin_before_the_start_gradient_frame_do_not_learn(first: int, learning: int) -> None:
    eps = EPS.clone().requires_grad_()
    clip = roll(eps, exits=(0, 0, 0), gradient_from=first)
    learned = 0
    if clip.requires_grad:
        (found,) = torch.autograd.grad(clip.sum(), eps)
        learned = int(found[0].count_nonzero(dim=(0, 2, 3)).count_nonzero()) // 2
    assert learned == learning


def test_a_sample_takes_every_step_and_leaves_no_gradient() -> None:
    found = sample(STUDENT, EPS, CONDITION, MODEL, DRAWS, Rollout())
    assert not found.requires_grad
    assert torch.equal(found, roll().detach())


def test_a_clip_longer_than_the_training_clip_is_sampled_in_more_chunks() -> None:
    eps = torch.cat([EPS, EPS], dim=2)
    assert sample(STUDENT, eps, CONDITION, MODEL, DRAWS, Rollout()).shape == (B, 2, 12, 1, 1)


def test_a_sample_does_not_depend_on_its_micro_batch() -> None:
    alone = sample(STUDENT, EPS[1:2], {"text": CONDITION["text"][1:2]}, MODEL, KeyedDraws(0, 1, [1]), Rollout())
    torch.testing.assert_close(
        alone, sample(STUDENT, EPS, CONDITION, MODEL, DRAWS, Rollout())[1:2], atol=1e-5, rtol=1e-5
    )


def settings(**given: object) -> DistributionMatchingSettings:
    return DistributionMatchingSettings.parse({"kind": "distribution_matching", **given}, "test")


@pytest.mark.parametrize(
    ("given", "uniform", "wanted"),
    [
        ({"exit_sampling": "last"}, 0.0, (3, 3)),
        ({"exit_sampling": "random"}, 0.0, (0, 0)),
        ({"exit_sampling": "random"}, 0.5, (2, 2)),
        ({"exit_sampling": "random"}, 0.99, (3, 3)),
        ({"exit_sampling": "weighted", "exit_weights": [1, 1, 1, 7]}, 0.29, (2, 2)),
        ({"exit_sampling": "weighted", "exit_weights": [1, 1, 1, 7]}, 0.31, (3, 3)),
    ],
)
def test_the_exit_is_chosen_as_the_settings_say(
    given: Mapping[str, object], uniform: float, wanted: tuple[int, ...]
) -> None:
    assert draw_exits(settings(**given), 4, 2, Fixed(shared=uniform)) == wanted


def test_exits_are_drawn_per_chunk_only_if_they_may_differ_and_never_per_slot() -> None:
    same, apart = settings(), settings(same_step_across_blocks=False)
    drawn = [draw_exits(apart, 4, 3, KeyedDraws(0, step, [0])) for step in range(20)]
    assert drawn == [draw_exits(apart, 4, 3, KeyedDraws(0, step, [5, 6])) for step in range(20)]
    assert any(len(set(exits)) > 1 for exits in drawn)
    assert all(len(set(draw_exits(same, 4, 3, KeyedDraws(0, step, [0])))) == 1 for step in range(20))


def test_a_choice_that_rounding_pushes_past_the_end_is_the_last_one() -> None:
    assert draw_exits(settings(exit_sampling="weighted", exit_weights=[0.1, 0.2]), 2, 1, Fixed(shared=1.0)) == (1,)
