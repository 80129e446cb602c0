"""KD, KD along a path and CausalKD: one regression, three picks."""

import pytest
import torch

from fastgen_k8s.diffusion.draws import KeyedDraws
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.experiments.method import RegressionSettings
from fastgen_k8s.methods.method import Batch, given
from fastgen_k8s.methods.regression import TrajectoryRegression
from fastgen_k8s.networks.load import build_student
from fastgen_k8s.networks.network import x0
from tests.methods.fixed import Fixed

MODEL = get_experiment("closed_form/gaussian_kd").model.override("network.num_layers=1")  # 6 frames in chunks of 2
STATES, B = 4, 5
DRAWS = KeyedDraws(0, 1, range(B))


def batch() -> Batch:
    source = torch.Generator().manual_seed(0)
    clean, path = torch.randn(B, 2, 6, 1, 1, generator=source), torch.randn(B, STATES, 2, 6, 1, 1, generator=source)
    return Batch({"text": torch.eye(2)[torch.arange(B) % 2][:, None]}, clean, path)


def method(**settings: object) -> TrajectoryRegression:
    regression = RegressionSettings.parse({"kind": "regression", **settings}, "test")
    return TrajectoryRegression(build_student(MODEL, None), regression, MODEL)


def test_kd_starts_every_sample_at_the_noise() -> None:
    assert torch.equal(method(pick="start").pick(DRAWS), torch.zeros(B, 6, dtype=torch.int64))


def test_kd_along_a_path_takes_one_noised_state_a_sample() -> None:
    column = method(pick="path").pick(KeyedDraws(0, 1, range(200)))
    assert torch.equal(column, column[:, :1].expand(-1, 6))
    assert {int(value) for value in column[:, 0]} == {0, 1, 2, 3}


def test_causal_kd_takes_a_state_or_the_clean_one_for_each_chunk() -> None:
    column = method(pick="chunks").pick(KeyedDraws(0, 1, range(200)))
    assert torch.equal(column[:, ::2], column[:, 1::2])
    assert {int(value) for value in column[:, 0]} == {0, 1, 2, 3, 4}
    assert not torch.equal(column[:, 0], column[:, 2])


def test_on_a_clean_past_every_chunk_is_noised() -> None:
    column = method(pick="chunks", context="clean").pick(KeyedDraws(0, 1, range(200)))
    assert int(column.max()) == STATES - 1


def test_each_frame_is_the_state_of_its_column() -> None:
    data, column = batch(), torch.tensor([[0, 0, 3, 3, 4, 4]]).expand(B, -1)
    assert data.path is not None and data.x0 is not None
    wanted = torch.cat([data.path[:, 0, :, :2], data.path[:, 3, :, 2:4], data.x0[:, :, 4:]], dim=2)
    assert torch.equal(method(pick="chunks").state(data, column), wanted)


def test_the_published_kd_keeps_raw_noise_unscaled() -> None:
    data, column = batch(), torch.zeros(B, 6, dtype=torch.int64)
    assert data.path is not None
    found = method(pick="start", as_published=True).state(data, column)
    torch.testing.assert_close(found, data.path[:, 0] / 0.999)


def test_the_loss_is_half_the_square_error_of_x0_at_the_picked_states() -> None:
    kd, data = method(pick="chunks", clean_chunks="count"), batch()
    column = kd.pick(DRAWS)
    t = torch.tensor(MODEL.t_list, dtype=torch.float64)[column]
    error = x0(kd.student, kd.state(data, column), t, data.condition) - given(data.x0, "clean clips")
    torch.testing.assert_close(kd.losses(data, DRAWS).loss, 0.5 * error.square().flatten(1).mean(1))


def test_clean_chunks_count_as_exactly_zero() -> None:
    kd, data = method(pick="chunks", clean_chunks="count"), batch()
    draws = Fixed(column=torch.full((B, 3), STATES))
    assert torch.equal(kd.losses(data, draws).loss, torch.zeros(B))


def test_masked_and_counted_losses_differ_by_the_expected_share_of_noised_chunks() -> None:
    data = batch()
    masked, counted = (method(pick="chunks", clean_chunks=kind).losses(data, DRAWS).loss for kind in ("mask", "count"))
    torch.testing.assert_close(masked, counted * 5 / 4)


def test_the_loss_of_a_sample_does_not_depend_on_its_micro_batch() -> None:
    kd, data = method(pick="chunks"), batch()
    assert data.x0 is not None and data.path is not None
    alone = Batch({"text": data.condition["text"][2:3]}, data.x0[2:3], data.path[2:3])
    found = kd.losses(alone, KeyedDraws(0, 1, [2])).loss
    torch.testing.assert_close(found, kd.losses(data, DRAWS).loss[2:3], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("pick", "context"), [("start", "noised"), ("chunks", "noised"), ("chunks", "clean")])
def test_every_weight_that_matters_gets_a_gradient(pick: str, context: str) -> None:
    kd = method(pick=pick, context=context)
    total = kd.losses(batch(), DRAWS).loss.mean()
    gradients = torch.autograd.grad(total, list(kd.student.parameters()), allow_unused=True)
    assert all(gradient is not None and bool(gradient.isfinite().all()) for gradient in gradients)


@pytest.mark.parametrize("context", ["noised", "clean"])
def test_an_earlier_chunk_does_not_see_a_later_one(context: str) -> None:
    kd, data = method(pick="chunks", context=context), batch()
    assert data.x0 is not None and data.path is not None
    late = torch.cat([torch.zeros(4), torch.ones(2)])[:, None, None]
    moved = Batch(data.condition, data.x0 + late, data.path + late)
    draws = Fixed(column=torch.tensor([[1, 2, 0]]).expand(B, -1))
    column = kd.pick(draws)
    t = kd.times[column]
    before, after = (kd.predict(it, kd.state(it, column), t) for it in (data, moved))
    assert torch.equal(before[:, :, :4], after[:, :, :4])
    assert not torch.equal(before[:, :, 4:], after[:, :, 4:])


def test_on_a_clean_past_a_chunk_sees_the_clean_chunks_before_it_and_not_their_noised_states() -> None:
    kd, data = method(pick="chunks", context="clean"), batch()
    assert data.x0 is not None and data.path is not None
    early = torch.cat([torch.ones(2), torch.zeros(4)])[:, None, None]
    column = kd.pick(Fixed(column=torch.tensor([[1, 2, 0]]).expand(B, -1)))
    t = kd.times[column]
    plain, other_states, other_clean = (
        kd.predict(it, kd.state(it, column), t)[:, :, 2:]
        for it in (
            data,
            Batch(data.condition, data.x0, data.path + early),
            Batch(data.condition, data.x0 + early, data.path),
        )
    )
    assert torch.equal(plain, other_states)
    assert not torch.equal(plain, other_clean)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pick": "path", "context": "clean"}, "wants method.pick 'chunks', found 'path'"),
        ({"pick": "chunks", "chunk_size": None}, "wants model.chunk_size, found null"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, object], message: str) -> None:
    model = MODEL.model_copy(update={"chunk_size": settings.pop("chunk_size", 2)})
    with pytest.raises(Misdescribed, match=message):
        TrajectoryRegression(
            build_student(model, None), RegressionSettings.parse({"kind": "regression", **settings}, "test"), model
        )


DATA = batch()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Batch(DATA.condition, None, DATA.path), "wants clean latents"),
        (Batch(DATA.condition, DATA.x0, None), "wants the teacher's paths"),
    ],
    ids=["no clean clips", "no paths"],
)
def test_a_batch_without_what_it_regresses_is_refused(data: Batch, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        method(pick="path").losses(data, DRAWS)
