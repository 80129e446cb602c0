"""Keys that wait to be looked at: each at its time, each by one worker at a time, none forgotten.

A deadline, a back-off and a look again later are the same thing here: a key with a time. Where many are due at once,
those that were looked at before go first: what is under way does not wait for a thousand that are new.
"""

import heapq
import itertools
import random
import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_FIRST = 0.5  # seconds to wait after a key failed once; twice as long after each further failure
_DOUBLINGS = 30  # more would overflow


def backoff(failures: int, cap: float, draw: float) -> float:
    """Seconds to wait after that many failures in a row, spread over the upper half by a draw from [0, 1)."""
    return min(cap, _FIRST * 2 ** min(failures - 1, _DOUBLINGS)) * (1 + draw) / 2


class Agenda(Generic[K]):
    """What is due when. It has no clock and no lock: every call is told the time."""

    def __init__(self) -> None:
        self._due: dict[K, float] = {}
        self._known: set[K] = set()  # looked at before
        # Known keys and new ones, by time; an entry that `_due` no longer agrees with is skipped.
        self._heaps: dict[bool, list[tuple[float, int, K]]] = {True: [], False: []}
        self._active: set[K] = set()
        self._again: dict[K, float] = {}  # added while a worker had them
        self._order = itertools.count()  # keys of one time come in the order in which they were added

    def waiting(self, now: float) -> int:
        """How many keys are due, and with nobody."""
        return sum(when <= now for when in self._due.values())

    def add(self, key: K, when: float) -> None:
        """Look at a key at a time; of two times the earlier one counts."""
        waiting = self._again if key in self._active else self._due
        if key in waiting and waiting[key] <= when:
            return
        waiting[key] = when
        if waiting is self._due:
            heapq.heappush(self._heaps[key in self._known], (when, next(self._order), key))

    def first(self) -> float | None:
        """When the first key is due."""
        return min((heap[0][0] for heap in map(self._valid, (True, False)) if heap), default=None)

    def take(self, now: float) -> tuple[K, float] | None:
        """A key that is due, and since when; it is its taker's alone until `done`."""
        for known in (True, False):
            heap = self._valid(known)
            if heap and heap[0][0] <= now:
                when, _, key = heapq.heappop(heap)
                del self._due[key]
                self._active.add(key)
                return key, when
        return None

    def done(self, key: K, when: float | None, *, looked: bool = True) -> None:
        """A taken key was looked at, or not; it comes again at that time, or when it was added meanwhile.

        None: it is new when it comes again.
        """
        self._active.remove(key)
        if when is None:
            self._known.discard(key)
        elif looked:
            self._known.add(key)
        for again in (when, self._again.pop(key, None)):
            if again is not None:
                self.add(key, again)

    def _valid(self, known: bool) -> list[tuple[float, int, K]]:
        """A heap whose first entry is true."""
        heap = self._heaps[known]
        while heap and self._due.get(heap[0][2]) != heap[0][0]:
            heapq.heappop(heap)
        return heap


def _unobserved(seconds: float) -> None:
    """Nobody counts."""


class Queue(Generic[K]):
    """An agenda that threads share, by the clock of this process."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
        waited: Callable[[float], None] = _unobserved,  # told how long after its time each key is taken
    ) -> None:
        self._monotonic, self._draw, self._waited = monotonic, draw, waited
        self._agenda: Agenda[K] = Agenda()
        self._failures: dict[K, int] = {}
        self._closed = False
        self._changed = threading.Condition()

    def waiting(self) -> int:
        """How many keys are due and wait for a worker."""
        with self._changed:
            return self._agenda.waiting(self._monotonic())

    def add(self, key: K, after: float = 0.0) -> None:
        """Look at a key in so many seconds, or earlier if it waits for an earlier time."""
        with self._changed:
            self._agenda.add(key, self._monotonic() + after)
            self._changed.notify()

    def get(self) -> K | None:
        """The next key, waited for; None when the queue is closed. Its taker ends with `done`, `fail` or `put_off`."""
        with self._changed:
            while not self._closed:
                now = self._monotonic()
                taken = self._agenda.take(now)
                if taken is not None:
                    self._changed.notify()  # somebody else has to wait for the one that is first now
                    self._waited(now - taken[1])
                    return taken[0]
                first = self._agenda.first()
                self._changed.wait(None if first is None else first - now)
            return None

    def done(self, key: K, after: float | None) -> None:
        """A key was looked at: again in so many seconds, or (None) only when it is added."""
        with self._changed:
            self._failures.pop(key, None)
            self._put_back(key, after)

    def put_off(self, key: K, after: float) -> None:
        """A key was not looked at: it waits for so many seconds, and is as new as it was."""
        with self._changed:
            self._put_back(key, after, looked=False)

    def fail(self, key: K, cap: float) -> None:
        """Looking at a key failed: again after a time that doubles with each failure in a row, up to a cap."""
        with self._changed:
            self._failures[key] = self._failures.get(key, 0) + 1
            self._put_back(key, backoff(self._failures[key], cap, self._draw()))

    def close(self) -> None:
        """Hand out no more keys: whoever waits for one gets None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _put_back(self, key: K, after: float | None, *, looked: bool = True) -> None:
        self._agenda.done(key, None if after is None else self._monotonic() + after, looked=looked)
        self._changed.notify()
