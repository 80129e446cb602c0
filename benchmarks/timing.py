"""How every benchmark compares: two functions in alternating pairs, by the median of their ratios."""

import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple


class Ratio(NamedTuple):
    """How many times longer `slow` takes than `fast`."""

    slow: float  # seconds, median
    fast: float  # seconds, median
    ratio: float  # median of the ratios of the pairs
    pairs: int

    def line(self, name: str, wanted: float | None = None) -> str:
        """One line for a person, with what was wanted."""
        bound = "" if wanted is None else f" (wanted >= {wanted:g})"
        times = f"{self.slow * 1e3:.1f} ms against {self.fast * 1e3:.1f} ms"
        return f"{name}: {self.ratio:.2f}x{bound}, {times}, median of {self.pairs} alternating pairs"


def compare(
    slow: Callable[[], object],
    fast: Callable[[], object],
    pairs: int = 5,
    clock: Callable[[], float] = time.process_time,
) -> Ratio:
    """Time both by turns, so that a machine that slows down slows both; one unmeasured call of each first.

    The clock counts this process's processor time, so that others on the machine do not; where waiting is what is
    measured, give `time.perf_counter`.
    """
    if pairs < 1:
        raise ValueError(f"wanted at least one pair, found {pairs}")
    slow()
    fast()
    seconds = [(_seconds(slow, clock), _seconds(fast, clock)) for _ in range(pairs)]
    slows, fasts = zip(*seconds, strict=True)
    return Ratio(median(slows), median(fasts), median(s / f for s, f in seconds), pairs)


def _seconds(function: Callable[[], object], clock: Callable[[], float]) -> float:
    begun = clock()
    function()
    return clock() - begun
