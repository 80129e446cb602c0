"""Distribution matching: whose turn it is, what moves whom, and what is logged."""

import re

import pytest
import torch
from torch import Tensor, nn

from fastgen_k8s.diffusion.draws import KeyedDraws, seeded
from fastgen_k8s.diffusion.losses import score_gradient
from fastgen_k8s.diffusion.schedule import add_noise, draw_times, flow_to_x0
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.experiments.method import DistributionMatchingSettings, Rollout
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.methods.distribution_matching import Adversary, DistributionMatching, build
from fastgen_k8s.methods.method import Batch, Method, Parts
from fastgen_k8s.methods.rollout import rollout
from fastgen_k8s.networks.by_kind import family_of
from fastgen_k8s.networks.discriminator import Discriminator
from fastgen_k8s.networks.load import build_student, build_teacher
from fastgen_k8s.networks.network import Network, flow

MODEL = get_experiment("closed_form/gaussian_sf").model.override("network.num_layers=1")  # 6 frames in chunks of 2
WHOLE = MODEL.override("chunk_size=null")
B, FREQ = 4, 3
NEGATIVE = {"text": torch.zeros(1, 1, 2)}
BATCH = Batch({"text": torch.eye(2)[torch.arange(B) % 2][:, None]})
REAL = torch.randn(B, 2, 6, 1, 1, generator=torch.Generator().manual_seed(0))


def settings(**given: object) -> DistributionMatchingSettings:
    some = {"kind": "distribution_matching", "guidance": 1.0, "student_update_freq": FREQ}
    return DistributionMatchingSettings.parse({**some, **given}, "test")


def method(
    model: Model = MODEL, teacher: Network | None = None, heads: nn.Module | None = None, **given: object
) -> DistributionMatching:
    its, teacher = settings(**given), teacher or build_teacher(model, None)
    return DistributionMatching(
        build_student(model, None),
        teacher,
        family_of(model).fake_score(model, None, "teacher"),
        None if heads is None or its.gan is None else Adversary(teacher, heads, its.gan),
        NEGATIVE,
        its,
        model,
    )


def built(**given: object) -> Method:
    parts = Parts(build_student(MODEL, None), MODEL, None, NEGATIVE, NEGATIVE, torch.device("cpu"))
    return build(settings(**given), parts)


def adversarial(heads: nn.Module | None = None, **gan: object) -> DistributionMatching:
    """With a real network as teacher, for a closed form of this kind has no features."""
    teacher = build_student(WHOLE, None).requires_grad_(False)
    with seeded("heads of a test"):
        width = MODEL.network.num_attention_heads * MODEL.network.attention_head_dim
        heads = heads or Discriminator(1, width, hidden=8)
    return method(teacher=teacher, heads=heads, exit_sampling="last", gan={"blocks": [0], **gan})


def draws(step: int) -> KeyedDraws:
    return KeyedDraws(0, step, range(B))


def gradients(total: Tensor, module: nn.Module) -> list[Tensor | None]:
    return list(torch.autograd.grad(total.mean(), list(module.parameters()), allow_unused=True, retain_graph=True))


@pytest.mark.parametrize(
    ("step", "wanted"),
    [(-2, "fake_score"), (0, "fake_score"), (1, "fake_score"), (2, "fake_score"), (3, "student"), (6, "student")],
)
def test_the_student_moves_at_multiples_of_its_frequency_after_the_warm_up(step: int, wanted: str) -> None:
    assert method(critic_warmup=3).turn(step) == (wanted,)


def test_the_discriminator_learns_with_the_fake_score() -> None:
    assert adversarial().turn(1) == ("fake_score", "discriminator")


def test_the_warm_up_is_so_many_steps_before_the_first() -> None:
    assert built(critic_warmup=150).warmup == 150


def test_a_critic_that_equals_the_teacher_leaves_the_student_where_it_is() -> None:
    found = method().losses(BATCH, draws(FREQ))
    torch.testing.assert_close(found.loss, torch.zeros(B))


def test_guidance_moves_the_student_even_then() -> None:
    found = method(guidance=3.0).losses(BATCH, draws(FREQ))
    assert bool((found.loss > 0).all())


def test_the_student_follows_the_weighed_difference_of_the_scores_through_its_rollout() -> None:
    dm = method(guidance=3.0, exit_sampling="last", renoise="ode")
    its = draws(FREQ)
    x = rollout(
        dm.student,
        its.normal("noise", (2, 6, 1, 1)),
        BATCH.condition,
        MODEL,
        its,
        Rollout(renoise="ode"),
        exits=(3, 3, 3),
    )
    t = draw_times(its.uniform("fake/t"), MODEL.shift, 0.001, 0.999)
    x_t = add_noise(x, its.normal("fake/eps", (2, 6, 1, 1)), t).detach()
    conditional = flow(dm.teacher, x_t, t, BATCH.condition)
    unconditional = flow(dm.teacher, x_t, t, {"text": torch.zeros(B, 1, 2)})
    real = flow_to_x0(unconditional + 3 * (conditional - unconditional), x_t, t)
    fake = flow_to_x0(flow(dm.fake_score, x_t, t, BATCH.condition), x_t, t)
    wanted = torch.autograd.grad(x, list(dm.student.parameters()), score_gradient(x, real, fake) / (12 * B))
    found = gradients(dm.losses(BATCH, its).loss, dm.student)
    torch.testing.assert_close(found, list(wanted))


def test_a_turn_of_the_student_gives_the_fake_score_no_gradient() -> None:
    dm = method(guidance=3.0)
    assert set(gradients(dm.losses(BATCH, draws(FREQ)).loss, dm.fake_score)) == {None}


def test_a_turn_of_the_fake_score_gives_the_student_no_gradient() -> None:
    dm = method()
    total = dm.losses(BATCH, draws(1)).loss
    assert set(gradients(total, dm.student)) == {None}
    assert any(gradient is not None for gradient in gradients(total, dm.fake_score))


@pytest.mark.parametrize("kind", ["flow", "x0"])
def test_a_critic_that_starts_as_the_teacher_denoises_as_well_as_the_teacher(kind: str) -> None:
    terms = method(critic_loss=kind, health={"critic_lag": 2.0}).losses(BATCH, draws(1)).terms
    torch.testing.assert_close(terms["critic"], terms["teacher"])


def test_x0_errors_are_flow_errors_times_t() -> None:
    its = draws(1)
    t = draw_times(its.uniform("fake/t"), MODEL.shift, 0.001, 0.999)
    by_flow, by_x0 = (method(critic_loss=kind).losses(BATCH, its).loss for kind in ("flow", "x0"))
    torch.testing.assert_close(by_x0, (by_flow * t**2).float())


def test_the_variance_of_each_chunk_is_logged_by_exit_beside_the_real_one() -> None:
    terms = method(exit_sampling="last").losses(Batch(BATCH.condition, REAL), draws(FREQ)).terms
    assert {name for name in terms if name.startswith("variance")} == {
        f"variance/{kind}/chunk{k}" for kind in ("exit3", "real") for k in range(3)
    }
    torch.testing.assert_close(terms["variance/real/chunk1"], REAL[:, :, 2:4].square().flatten(1).mean(1))


def test_broken_bounds_are_counted_where_a_checkpoint_finds_them() -> None:
    bounds = built(health={"critic_lag": 1.5, "patience": 3}).bounds
    assert bounds is not None
    bounds.check(1, {"critic": 2.0, "teacher": 1.0})
    assert bounds.streaks == {"critic_lag": 1, "variance": 0}


def test_a_bidirectional_student_is_distilled_by_the_same_method() -> None:
    dm = method(WHOLE, guidance=3.0)
    assert any(gradient is not None for gradient in gradients(dm.losses(BATCH, draws(FREQ)).loss, dm.student))


def test_the_students_gan_term_is_weighed_and_reaches_it_through_the_frozen_features() -> None:
    dm, plain = adversarial(weight=0.5), adversarial(weight=1e-9)
    data = Batch(BATCH.condition, REAL)
    found, without = dm.losses(data, draws(FREQ)), plain.losses(data, draws(FREQ))
    torch.testing.assert_close(found.loss - 0.5 * found.terms["generator"], without.loss)
    names = [name for name, _ in dm.student.named_parameters()]
    both = zip(gradients(found.loss, dm.student), gradients(without.loss, plain.student), strict=True)
    moved = {
        name for name, (a, b) in zip(names, both, strict=True) if a is not None and b is not None and not a.equal(b)
    }
    # Whom a single token of text is attended by is certain: what chooses it has no gradient, but for rounding.
    choosing = {name for name in names if re.search(r"\.(attn2\.(to_q|to_k|norm_q|norm_k)|norm2)\.", name)}
    assert set(names) - choosing <= moved


def clips_of(dm: DistributionMatching, step: int) -> Tensor:
    its = draws(step)
    with torch.no_grad():
        return rollout(
            dm.student,
            its.normal("noise", (2, 6, 1, 1)),
            BATCH.condition,
            MODEL,
            its,
            Rollout(),
            exits=(3, 3, 3),
        )


class Recorder(nn.Module):
    """A discriminator that keeps what it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))
        self.read = list[Tensor]()

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """The same logit for all."""
        self.read.append(features[0])
        return self.bias.expand(len(features[0]))


@pytest.mark.parametrize("same_noise", [True, False])
def test_real_clips_are_noised_with_the_made_ones_noise_or_with_their_own(same_noise: bool) -> None:
    """With the made clips as real ones, the same noise leaves the same features to read."""
    recorder = Recorder()
    dm = adversarial(recorder, same_noise=same_noise)
    dm.losses(Batch(BATCH.condition, clips_of(dm, 1)), draws(1))
    made, real = recorder.read
    assert torch.equal(made, real) is same_noise


def test_a_trained_discriminator_beats_the_coin() -> None:
    dm = adversarial()
    assert dm.adversary is not None
    heads = dm.adversary.discriminator
    optimiser, data = torch.optim.Adam(heads.parameters(), 1e-2), Batch(BATCH.condition, 3 + REAL)
    before = dm.losses(data, draws(1)).terms["discriminator"].mean().detach()
    for _ in range(30):
        parameters = list(heads.parameters())
        for parameter, gradient in zip(parameters, gradients(dm.losses(data, draws(1)).loss, heads), strict=True):
            parameter.grad = gradient
        optimiser.step()  # pyright: ignore[reportUnknownMemberType]
    assert float(dm.losses(data, draws(1)).terms["discriminator"].mean().detach()) < 0.7 * float(before)


def test_r1_adds_to_the_loss_of_the_discriminator() -> None:
    data = Batch(BATCH.condition, REAL)
    with_r1, without = (adversarial(r1_weight=weight) for weight in (10.0, 0.0))
    assert with_r1.adversary is not None and without.adversary is not None
    with_r1.adversary.discriminator.load_state_dict(without.adversary.discriminator.state_dict())
    found, plain = with_r1.losses(data, draws(1)), without.losses(data, draws(1))
    torch.testing.assert_close(found.loss - plain.loss, 10 * found.terms["r1"], atol=1e-6, rtol=1e-4)
    assert bool((found.terms["r1"] > 0).all())


def test_a_discriminator_without_real_clips_is_refused() -> None:
    with pytest.raises(BadInput, match="wants clean latents"):
        adversarial().losses(BATCH, draws(1))


def test_a_fake_score_that_would_never_learn_is_refused() -> None:
    with pytest.raises(Misdescribed, match="wants 2 or more"):
        method(student_update_freq=1)


@pytest.mark.parametrize(("chunk_size", "last"), [("2", 4), ("null", 0)])
def test_a_gradient_that_begins_after_the_last_chunk_is_refused(chunk_size: str, last: int) -> None:
    model = MODEL.override(f"chunk_size={chunk_size}")
    method(model, start_gradient_frame=last)
    with pytest.raises(Misdescribed, match=f"start_gradient_frame: wanted at most {last}, .*found {last + 1}"):
        method(model, start_gradient_frame=last + 1)
