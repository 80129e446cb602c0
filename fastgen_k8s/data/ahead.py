"""Batches read before they are wanted: a few, by a thread, in the order in which training asks for them."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from types import TracebackType
from typing import Generic, Self, TypeVar

B = TypeVar("B")
Turn = tuple[int, tuple[int, ...]]
"""A micro-batch: the step and its slots."""

_AHEAD = 8  # batches


class Ahead(Generic[B]):
    """What `read` gives for each turn of an order that is known beforehand.

    The order alone decides what is read, so that reading ahead changes no bit. What reading raises is raised where that
    batch is asked for.
    """

    def __init__(self, read: Callable[[int, Sequence[int]], B], order: Iterable[Turn], ahead: int = _AHEAD) -> None:
        self._read, self._order, self._ahead = read, iter(order), ahead
        self._thread = ThreadPoolExecutor(1, "ahead")  # a second one would delay the batch that is wanted next
        self._coming: deque[tuple[Turn, Future[B]]] = deque()
        self.waited = 0.0  # seconds that somebody waited for a batch
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=kind is None, cancel_futures=True)  # who fails does not wait for a store

    def batch(self, step: int, slots: Sequence[int]) -> B:
        """The next batch of the order, which has to be the one that is asked for."""
        self._begin()
        turn, future = self._coming.popleft()
        if turn != (step, tuple(slots)):
            raise ValueError(f"wanted batches in their order: {turn} comes next, asked for {(step, tuple(slots))}")
        self._begin()
        began = time.perf_counter()
        try:
            return future.result()
        finally:
            self.waited += time.perf_counter() - began

    def _begin(self) -> None:
        for turn in islice(self._order, self._ahead - len(self._coming)):
            self._coming.append((turn, self._thread.submit(self._read, *turn)))
