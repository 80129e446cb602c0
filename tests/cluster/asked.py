# pyright: basic
"""What a controller asks the API server for in a time, and how much that may be by its own rules of trying again."""

import time
from collections.abc import Iterable
from itertools import chain, repeat

from tests.cluster.proxy import Proxy

COPIES = 5  # of pipelines, pods, JobSets, Volcano's jobs and Kueue's workloads
INSTALLED = ("distillationpipelines", "pods", "jobsets")
ABSENT = ("jobs", "workloads")  # of Volcano and of Kueue


class Since:
    """The requests through a proxy from now on."""

    def __init__(self, front: Proxy) -> None:
        self._front, self._first, self._begun = front, len(front.requests), time.monotonic()

    @property
    def requests(self) -> list[tuple[str, str]]:
        return self._front.requests[self._first :]

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def lists(self, *kinds: str) -> list[str]:
        """Of all objects of these kinds: their paths, once for each request."""
        return [path for verb, path in self.requests if verb == "GET" and path.rpartition("/")[2] in kinds]


def tries(seconds: float, waits: Iterable[float]) -> int:
    """How often at most something is tried in so many seconds that waits so long after each try."""
    count = 1
    for wait in waits:
        seconds -= wait
        if seconds < 0:
            break
        count += 1
    return count


def of_a_copy(seconds: float) -> int:
    """reflector.py: 0.1, 0.2, ... 2, 2 s after failures in a row, of which a draw takes at most half."""
    return tries(seconds, chain((0.05, 0.1, 0.2, 0.4, 0.8), repeat(1.0)))


def of_an_absent_kind(seconds: float) -> int:
    """reflector.py: 2 s, or half of it, between two looks for a kind that is not installed."""
    return tries(seconds, repeat(1.0))


def of_the_election(seconds: float, retry: float) -> int:
    """lease.py: one read every RETRY, or four fifths of it, and none is followed by a write while it fails."""
    return tries(seconds, repeat(0.8 * retry))


def of_a_pipeline(seconds: float) -> int:
    """queue.py: a look ends at its first request that fails, and comes again after half of 0.5, 1, 2 ... 60 s."""
    return tries(seconds, chain((0.25 * 2**failures for failures in range(7)), repeat(30.0)))


def in_an_outage(seconds: float, retry: float) -> int:
    """All that a controller of one pipeline may ask while nobody answers."""
    return COPIES * of_a_copy(seconds) + of_the_election(seconds, retry) + of_a_pipeline(seconds)
