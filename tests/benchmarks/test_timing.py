"""How benchmarks compare: by turns, and by medians that one slow call does not move."""

import pytest

from benchmarks.timing import compare


class Machine:
    """A clock that functions move: each takes the next of its given seconds."""

    def __init__(self, slow: list[float], fast: list[float]) -> None:
        self.now, self.calls, self._seconds = 0.0, "", {"s": iter(slow), "f": iter(fast)}

    def clock(self) -> float:
        return self.now

    def slow(self) -> None:
        self._work("s")

    def fast(self) -> None:
        self._work("f")

    def _work(self, name: str) -> None:
        self.calls += name
        self.now += next(self._seconds[name])


def test_functions_take_turns_after_one_call_each_that_does_not_count() -> None:
    machine = Machine([9, 2, 2, 2], [9, 1, 1, 1])
    assert compare(machine.slow, machine.fast, 3, machine.clock).ratio == 2
    assert machine.calls == "sf" * 4


def test_one_disturbed_call_does_not_move_the_ratio() -> None:
    machine = Machine([1, 3, 300, 3], [1, 1, 1, 1])
    found = compare(machine.slow, machine.fast, 3, machine.clock)
    assert (found.slow, found.fast, found.ratio) == (3, 1, 3)


def test_a_line_says_what_was_wanted_and_found() -> None:
    machine = Machine([1, 3], [1, 2])
    line = compare(machine.slow, machine.fast, 1, machine.clock).line("a against b", wanted=2)
    assert line == "a against b: 1.50x (wanted >= 2), 3000.0 ms against 2000.0 ms, median of 1 alternating pairs"


def test_no_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one pair, found 0"):
        compare(lambda: None, lambda: None, 0)
