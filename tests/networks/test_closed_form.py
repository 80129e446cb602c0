"""Closed-form teachers against the score of their density, which autograd takes from the formula of the mixture."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.experiments.families.ring_blobs import RingBlobs
from fastgen_k8s.networks.by_kind import family_of
from fastgen_k8s.networks.gaussian_rotation import (
    GaussianTeacher,
    as_clips,
    as_vectors,
    covariance,
    exact_path,
    rotation,
)
from fastgen_k8s.networks.load import build_teacher
from fastgen_k8s.networks.network import KVCache, Network, features, flow
from fastgen_k8s.networks.ring_blobs import RingTeacher, bump, ring_videos

MODEL = get_experiment("closed_form/gaussian_kd").model
A, ANGLES = 0.9, (0.6, -0.6)
BOTH, LEFT = (0, 1), (0,)
"""Prompts that may have made a clip."""

LogDensity = Callable[[Tensor], Tensor]


def condition(prompts: Sequence[int], batch: int) -> dict[str, Tensor]:
    """One label, or zeros for no prompt."""
    text = torch.zeros(batch, 1, 2)
    if len(prompts) == 1:
        text[:, 0, prompts[0]] = 1
    return {"text": text}


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def flow_from_score(log_density: LogDensity, x_t: Tensor, t: float) -> Tensor:
    """E[eps] = -t score (Vincent 2011), E[x0] = (x_t - t E[eps]) / (1 - t), v = E[eps] - E[x0]."""
    x = x_t.clone().requires_grad_()
    (score,) = torch.autograd.grad(log_density(x).sum(), x)
    eps = -t * score
    return eps - (x_t - t * eps) / (1 - t)


def gaussian_density(prompts: Sequence[int], t: float, frames: int) -> LogDensity:
    """log p(x_t), x_t = (1 - t) x0 + t eps, up to a constant."""

    def log_density(x: Tensor) -> Tensor:
        every = list[Tensor]()
        for prompt in prompts:
            noised = (1 - t) ** 2 * covariance(A, ANGLES[prompt], 2, frames) + t**2 * torch.eye(2 * frames).double()
            law = MultivariateNormal(torch.zeros(2 * frames).double(), noised)
            every.append(torch.as_tensor(law.log_prob(x.flatten(2).transpose(1, 2).flatten(1))))
        return torch.stack(every).logsumexp(0)

    return log_density


def ring_density(prompts: Sequence[int], t: float, videos: Tensor) -> LogDensity:
    """The same of the mean over the prompts' videos of N(V, 0.05^2)."""

    def log_density(x: Tensor) -> Tensor:
        chosen = videos[list(prompts)].flatten(0, 1).flatten(1)  # [N, n]
        distance = (x.flatten(1)[:, None] - (1 - t) * chosen).square().sum(-1)
        return (-distance / (2 * ((1 - t) ** 2 * 0.05**2 + t**2))).logsumexp(1)

    return log_density


@pytest.mark.parametrize("t", [0.999, 0.624, 0.1])
@pytest.mark.parametrize("prompts", [LEFT, BOTH], ids=["prompt", "no prompt"])
def test_the_gaussian_flow_is_that_of_its_score(prompts: Sequence[int], t: float) -> None:
    x_t = noise(8, 2, 6, 1, 1)
    found = flow(GaussianTeacher(A, ANGLES, 2), x_t, torch.full((8,), t, dtype=torch.float64), condition(prompts, 8))
    wanted = flow_from_score(gaussian_density(prompts, t, 6), x_t, t)
    torch.testing.assert_close(found, wanted, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("t", [0.9, 0.4, 0.1])
@pytest.mark.parametrize("prompts", [LEFT, BOTH], ids=["prompt", "no prompt"])
def test_the_ring_flow_is_that_of_its_score(prompts: Sequence[int], t: float) -> None:
    videos = ring_videos((1, 2), 1.5, 16, 4)
    x_t = (1 - t) * videos[0, 3:7] + t * noise(4, 16, 4, 1, 1)
    times = torch.full((4,), t, dtype=torch.float64)
    found = flow(RingTeacher(videos, 0.05), x_t, times, condition(prompts, 4))
    wanted = flow_from_score(ring_density(prompts, t, videos), x_t, t)
    torch.testing.assert_close(found, wanted, atol=1e-7, rtol=1e-7)


def test_the_ode_ends_in_the_exact_law() -> None:
    """The map from unit noise to the clean clip, row by row, has the covariance as its square."""
    units = as_clips(torch.eye(12, dtype=torch.float64), 2)
    ends = as_vectors(exact_path(units, 0.6, A, (1.0, 0.0))[:, 1])
    torch.testing.assert_close(ends.T @ ends, covariance(A, 0.6, 2, 6))


def test_every_plane_is_turned() -> None:
    x = noise(4)
    planes = [rotation(0.6, 2) @ x[:2], rotation(0.6, 2) @ x[2:]]
    torch.testing.assert_close(rotation(0.6, 4) @ x, torch.cat(planes))


def test_at_full_noise_a_chunk_is_the_past_turned_and_shrunk() -> None:
    """There x0 is known only from the past, E[x_{k+i} | past] = a^i R^i x_k, and v = eps - E[x0]."""
    teacher, cache, past, eps = GaussianTeacher(A, ANGLES, 2), KVCache(), noise(3, 2, 4, 1, 1), noise(3, 2, 2, 1, 1)
    flow(teacher, past, torch.zeros(3), condition(LEFT, 3), cache=cache, write=True)
    found = flow(teacher, eps, torch.ones(3), condition(LEFT, 3), cache=cache)
    last = past[:, :, -1, 0, 0]
    ahead = [A**i * last @ rotation(i * ANGLES[0], 2).T for i in (1, 2)]
    torch.testing.assert_close(found, eps - torch.stack(ahead, dim=2)[..., None, None])


@pytest.mark.parametrize("kind", ["gaussian", "ring"])
def test_a_long_past_tells_the_prompt(kind: str) -> None:
    """Without a prompt, the flow after frames that only one prompt makes is that prompt's."""
    if kind == "gaussian":
        teacher: Network = GaussianTeacher(0.999, ANGLES, 2)
        frames = [rotation(i * ANGLES[1], 2) @ torch.tensor([[1.0], [0.0]], dtype=torch.float64) for i in range(6)]
        past = torch.stack(frames, dim=1)[None, :, :, :, None]
    else:
        videos = ring_videos((1, 2), 1.5, 16, 8)
        teacher, past = RingTeacher(videos, 0.05), videos[1, 3:4, :, :6]
    x_t = noise(1, past.shape[1], 2, 1, 1)
    flows = list[Tensor]()
    for prompts in (BOTH, (1,)):
        cache = KVCache()
        flow(teacher, past, torch.zeros(1), condition(prompts, 1), cache=cache, write=True)
        flows.append(flow(teacher, x_t, torch.full((1,), 0.9), condition(prompts, 1), cache=cache))
    torch.testing.assert_close(flows[0], flows[1], atol=1e-6, rtol=1e-6)


def test_chunks_written_one_by_one_are_one_past() -> None:
    teacher, once, twice, past = GaussianTeacher(A, ANGLES, 2), KVCache(), KVCache(), noise(2, 2, 4, 1, 1)
    flow(teacher, past, torch.zeros(2), condition(LEFT, 2), cache=once, write=True)
    for chunk in (past[:, :, :1], past[:, :, 1:]):
        flow(teacher, chunk, torch.zeros(2), condition(LEFT, 2), cache=twice, write=True)
    x_t, t = noise(2, 2, 2, 1, 1), torch.full((2,), 0.5)
    found = [flow(teacher, x_t, t, condition(LEFT, 2), cache=cache) for cache in (once, twice)]
    torch.testing.assert_close(found[0], found[1])


def test_there_are_64_videos_and_they_move() -> None:
    videos = ring_videos((1, 2), 1.5, 16, 6)
    assert len(videos.flatten(0, 1).flatten(1).unique(dim=0)) == 64  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    torch.testing.assert_close(videos[0, 0, :, 1, 0, 0], bump(16, 1.5).roll(1))
    torch.testing.assert_close(videos[1, 16, :, 1, 0, 0], bump(16, 1.5).roll(-2))


def test_the_ring_teacher_shows_its_posterior_over_videos_as_features() -> None:
    videos = ring_videos((1, 2), 1.5, 16, 6)
    x_t = 0.9 * videos[1, 5:6]
    (found,) = features(RingTeacher(videos, 0.05), x_t, torch.tensor([0.1]), condition(BOTH, 1), (0,))
    assert (found.shape, int(found.argmax())) == ((1, 1, 64), 32 + 5)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("latent=[3, 6, 1, 1]",), "an even latent.0., found 3"),
        (("latent=[2, 6, 2, 2]",), "a latent of 1 x 1, found 2 x 2"),
        (("teacher.angles=[0.1, 0.2, 0.3]",), "model.text of 3 labels, found 2"),
    ],
)
def test_a_model_that_does_not_fit_its_closed_form_is_refused(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(Misdescribed, match=message):
        build_teacher(MODEL.override(*overrides), None)


def test_a_ring_wants_two_labels() -> None:
    model = MODEL.override("text.labels=[a]").model_copy(update={"teacher": RingBlobs(kind="ring_blobs")})
    with pytest.raises(Misdescribed, match="2 labels, found 1"):
        build_teacher(model, None)


def test_a_past_that_is_not_clean_is_refused() -> None:
    with pytest.raises(Misdescribed, match="a clean past"):
        flow(
            GaussianTeacher(A, ANGLES, 2),
            noise(1, 2, 2, 1, 1),
            torch.ones(1),
            condition(LEFT, 1),
            cache=KVCache(),
            write=True,
        )


def test_times_that_differ_between_frames_are_refused() -> None:
    with pytest.raises(Misdescribed, match="one time a sample"):
        flow(GaussianTeacher(A, ANGLES, 2), noise(1, 2, 2, 1, 1), torch.tensor([[0.1, 0.2]]), condition(LEFT, 1))


def test_a_gaussian_teacher_has_no_features() -> None:
    with pytest.raises(Misdescribed, match="no blocks"):
        features(GaussianTeacher(A, ANGLES, 2), noise(1, 2, 2, 1, 1), torch.ones(1), condition(LEFT, 1), (0,))


def critic() -> Network:
    return family_of(MODEL).fake_score(MODEL, None, "teacher")


def test_a_residual_score_starts_as_its_teacher() -> None:
    x_t, t = noise(4, 2, 6, 1, 1).float(), torch.tensor([0.999, 0.6, 0.3, 0.01])
    found, wanted = (flow(it, x_t, t, condition(LEFT, 4)) for it in (critic(), build_teacher(MODEL, None)))
    assert torch.equal(found, wanted)


def test_a_residual_score_learns_from_its_last_layer_on() -> None:
    score = critic()
    total = flow(score, noise(4, 2, 6, 1, 1).float(), torch.full((4,), 0.5), condition(LEFT, 4)).square().sum()
    gradients = torch.autograd.grad(total, list(score.parameters()), allow_unused=True)
    assert sum(gradient is not None and bool(gradient.any()) for gradient in gradients) == 2


def test_a_residual_score_holds_each_weight_once() -> None:
    score = critic()
    assert len(score.state_dict()) == len(list(score.parameters()))


def test_a_residual_score_of_a_chunk_is_refused() -> None:
    with pytest.raises(Misdescribed, match="judges whole clips"):
        flow(critic(), noise(1, 2, 2, 1, 1).float(), torch.ones(1), condition(LEFT, 1), cache=KVCache())
