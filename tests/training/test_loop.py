"""The loop: exactly so many steps, the same batch on any machine, each role's own turn, and health."""

from collections.abc import Mapping, Sequence
from itertools import chain

import pytest
import torch

from fastgen_k8s.errors import Misdescribed, Unhealthy
from fastgen_k8s.experiments.schema import Train
from fastgen_k8s.training.loop import Share, StepReport, shares, train
from fastgen_k8s.training.parallel import World
from fastgen_k8s.training.state import TrainingState
from tests.training.toy import AVERAGED, SOURCE, Toy, fresh, weights

SHORT = Train(steps=6, global_batch=4)


class Notes:
    """A watch that remembers the reports."""

    def __init__(self) -> None:
        self.reports: list[StepReport] = []

    def flags(self) -> Sequence[bool]:
        """One that is up, one that is not."""
        return (True, False)

    def after(self, state: TrainingState, report: StepReport) -> None:
        """Remember."""
        self.reports.append(report)


def run(toy: Toy, settings: Train = SHORT, micro_batch: int | None = None) -> tuple[TrainingState, list[StepReport]]:
    """A training alone; its state and reports."""
    notes = Notes()
    state = train(toy.method(), fresh(toy, settings), settings, SOURCE, micro_batch=micro_batch, watch=notes)
    return state, notes.reports


def test_a_run_makes_exactly_its_steps() -> None:
    _, reports = run(Toy())
    assert [report.step for report in reports] == [1, 2, 3, 4, 5, 6]


def test_warm_up_comes_before_step_1_and_is_not_counted() -> None:
    _, reports = run(Toy(warmup=2))
    assert [report.step for report in reports] == [-1, 0, 1, 2, 3, 4, 5, 6]


def test_each_role_is_updated_in_its_own_turns_only() -> None:
    state, _ = run(Toy(student_every=3))
    assert {name: role.updates for name, role in state.roles.items()} == {"student": 2, "fake_score": 4}


def test_a_gradient_left_by_another_roles_turn_is_dropped() -> None:
    toy = Toy(student_every=1)
    before = toy.critic.weight.detach().clone()
    run(toy)
    assert torch.equal(toy.critic.weight, before)


@pytest.mark.parametrize("micro_batch", [1, 2, 3, 5])
def test_the_size_of_a_micro_batch_does_not_change_the_result(micro_batch: int) -> None:
    whole, parts = Toy(), Toy()
    run(whole)
    run(parts, micro_batch=micro_batch)
    torch.testing.assert_close(weights(parts), weights(whole), rtol=0, atol=1e-6)


def test_surplus_slots_do_not_count_in_the_mean() -> None:
    _, whole = run(Toy())
    _, padded = run(Toy(), micro_batch=3)
    assert [report.losses["total"] for report in padded] == pytest.approx([r.losses["total"] for r in whole], abs=1e-6)


@pytest.mark.parametrize(
    ("global_batch", "micro_batch", "world", "wanted"),
    [
        (4, None, 1, [[(0, 1, 2, 3)]]),
        (4, 2, 1, [[(0, 1), (2, 3)]]),
        (4, None, 2, [[(0, 1)], [(2, 3)]]),
        (5, None, 2, [[(0, 1, 2)], [(3, 4, 0)]]),
        (5, 1, 2, [[(0,), (2,), (4,)], [(1,), (3,), (0,)]]),
        (4, None, 3, [[(0, 1)], [(2, 3)], [(0, 1)]]),
    ],
)
def test_slots_are_dealt_to_ranks(
    global_batch: int, micro_batch: int | None, world: int, wanted: Sequence[Sequence[tuple[int, ...]]]
) -> None:
    dealt = [shares(global_batch, micro_batch, World(rank, world)) for rank in range(world)]
    assert [[share.slots for share in part] for part in dealt] == [list(part) for part in wanted]


@pytest.mark.parametrize("global_batch", range(1, 9))
@pytest.mark.parametrize("micro_batch", [None, 1, 2, 3])
def test_every_slot_counts_once_and_every_rank_runs_as_often(global_batch: int, micro_batch: int | None) -> None:
    for size in range(1, global_batch + 1):
        dealt = [shares(global_batch, micro_batch, World(rank, size)) for rank in range(size)]
        counted = sorted(slot for share in chain(*dealt) for slot, weight in zip(*share, strict=True) if weight)
        assert (counted, len({len(part) for part in dealt})) == (list(range(global_batch)), 1)


def test_more_processes_than_samples_are_refused() -> None:
    with pytest.raises(Misdescribed, match=r"wanted at most train\.global_batch = 2 processes, found 3"):
        shares(2, None, World(0, 3))


def test_draws_depend_on_step_and_slot_only() -> None:
    whole, parts = Toy(), Toy()
    run(whole)
    run(parts, micro_batch=2)
    halves = zip(parts.seen[::2], parts.seen[1::2], strict=True)
    assert [(step, (*first, *second)) for (step, first), (_, second) in halves] == whole.seen


def test_every_step_is_checked_by_the_method() -> None:
    toy = Toy()
    run(toy)
    assert toy.bounds.checked == [1, 2, 3, 4, 5, 6]


def test_flags_are_counted_over_ranks() -> None:
    _, reports = run(Toy())
    assert reports[0].flags == [1, 0]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (float("nan"), "step 3: wanted a finite loss, found total = nan, error = nan"),
        (float("inf"), "step 3: wanted a finite loss, found total = inf, error = inf"),
        (1e30, r"step 3: wanted a finite gradient of the fake_score, found norm inf"),
    ],
)
def test_what_is_not_finite_stops_the_run_with_step_and_term(spoil: float, words: str) -> None:
    with pytest.raises(Unhealthy, match=words):
        run(Toy(spoil={3: spoil}))


def test_skip_batch_leaves_out_the_step_that_is_not_finite() -> None:
    toy = Toy(spoil={3: float("nan")})
    state, reports = run(toy, SHORT.override("skip_batch=true"))
    found = (state.roles["fake_score"].updates, reports[2].rates, bool(weights(toy).isfinite().all()))
    assert found == (2, {}, True)


def test_a_step_left_out_is_not_checked_by_the_method() -> None:
    toy = Toy(spoil={3: float("nan")})
    run(toy, SHORT.override("skip_batch=true"))
    assert toy.bounds.checked == [1, 2, 4, 5, 6]


def test_gradients_are_clipped_to_the_roles_norm() -> None:
    toy, settings = Toy(student_every=1), Train(steps=1, global_batch=4)
    state = fresh(toy, settings)
    role = state.roles["student"]
    role.settings = role.settings.override("clip=0.001")
    train(toy.method(), state, settings, SOURCE)
    first_moment = torch.cat([role.moments(name)["exp_avg"].flatten() for name in role.named])
    assert float((first_moment**2).sum()) ** 0.5 == pytest.approx(0.1 * 0.001, rel=1e-5)  # (1 - beta1) g


def test_the_average_follows_student_updates() -> None:
    toy = Toy(student_every=1)
    settings = Train(steps=1, global_batch=4, ema=AVERAGED)
    state = fresh(toy, settings)
    before = state.averages["student"].means["weight"].clone()
    train(toy.method(), state, settings, SOURCE)
    wanted = 0.9 * before + 0.1 * toy.student.weight.detach()
    torch.testing.assert_close(state.averages["student"].means["weight"], wanted)


def test_the_average_rests_while_others_learn() -> None:
    toy = Toy(student_every=10)
    settings = Train(steps=5, global_batch=4, ema=AVERAGED)
    state = fresh(toy, settings)
    before = state.averages["student"].means["weight"].clone()
    train(toy.method(), state, settings, SOURCE)
    assert torch.equal(state.averages["student"].means["weight"], before)


def test_training_in_two_halves_is_training_at_once() -> None:
    at_once, halves = Toy(), Toy()
    run(at_once)
    state = fresh(halves, SHORT)
    train(halves.method(), state, SHORT.override("steps=3"), SOURCE)
    train(halves.method(), state, SHORT, SOURCE)
    assert torch.equal(weights(halves), weights(at_once))


def test_a_share_names_its_slots_and_weights() -> None:
    assert shares(3, 2, World()) == [Share((0, 1), (1.0, 1.0)), Share((2, 0), (1.0, 0.0))]


def test_losses_are_means_over_the_global_batch() -> None:
    seen: list[Mapping[str, float]] = []
    for micro_batch in (None, 1):
        _, reports = run(Toy(), micro_batch=micro_batch)
        seen.append(reports[0].losses)
    assert seen[1] == pytest.approx(seen[0], abs=1e-6)
