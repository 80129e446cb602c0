"""Batches are read ahead in order, a bounded number of them, and errors come where they belong."""

import threading
from collections.abc import Sequence

import pytest

from fastgen_k8s.data.ahead import Ahead, Turn
from fastgen_k8s.errors import BadInput

ORDER: list[Turn] = [(step, (slot, slot + 1)) for step in range(1, 9) for slot in (0, 2)]


def named(step: int, slots: Sequence[int]) -> str:
    """A batch that says what it is."""
    return f"{step}:{list(slots)}"


@pytest.mark.parametrize("ahead", [1, 3, 100])
def test_every_batch_comes_once_and_in_order(ahead: int) -> None:
    with Ahead(named, ORDER, ahead) as batches:
        assert [batches.batch(*turn) for turn in ORDER] == [named(*turn) for turn in ORDER]


def test_no_more_than_the_bound_is_read_before_it_is_wanted() -> None:
    begun, ready = list[int](), threading.Semaphore(0)

    def read(step: int, slots: Sequence[int]) -> int:
        begun.append(step)
        ready.release()
        return step

    with Ahead(read, [(step, (0,)) for step in range(1, 100)], ahead=3) as batches:
        batches.batch(1, (0,))
        for _ in range(4):
            assert ready.acquire(timeout=60)
        assert sorted(begun) == [1, 2, 3, 4]


def test_an_error_is_raised_at_the_batch_that_it_belongs_to() -> None:
    def read(step: int, slots: Sequence[int]) -> int:
        if step == 3:
            raise BadInput("torn")
        return step

    with Ahead(read, [(step, (0,)) for step in range(1, 6)]) as batches:
        assert [batches.batch(1, (0,)), batches.batch(2, (0,))] == [1, 2]
        with pytest.raises(BadInput, match="torn"):
            batches.batch(3, (0,))


def test_another_batch_than_the_next_one_is_refused() -> None:
    with Ahead(named, ORDER) as batches, pytest.raises(ValueError, match="wanted batches in their order"):
        batches.batch(2, (0, 1))
