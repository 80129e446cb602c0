"""The order of the data."""

from hypothesis import given
from hypothesis import strategies as st

from fastgen_k8s.data.sampler import indices


def test_every_item_comes_once_an_epoch() -> None:
    drawn = [index for step in range(1, 6) for index in indices(0, step, range(4), 4, 10)]
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))


@given(seed=st.integers(0, 99), step=st.integers(-50, 50), cut=st.integers(1, 7), items=st.integers(1, 30))
def test_a_slot_gets_the_same_item_on_any_rank(seed: int, step: int, cut: int, items: int) -> None:
    whole = indices(seed, step, range(8), 8, items)
    assert indices(seed, step, range(cut), 8, items) + indices(seed, step, range(cut, 8), 8, items) == whole


def test_epochs_and_seeds_are_ordered_differently() -> None:
    first, second = indices(0, 1, range(20), 20, 20), indices(0, 2, range(20), 20, 20)
    assert first != second
    assert first != indices(1, 1, range(20), 20, 20)
