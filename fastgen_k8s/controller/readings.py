"""When the progress of a running stage is read from the store: now and then, and before the stage counts as stalled."""

import random
import time
from collections.abc import Callable
from typing import NamedTuple

from fastgen_k8s.controller.view import Key

EVERY = 10.0  # seconds between two readings of a stage, while few run
A_SECOND = 20.0  # of all stages together: each reading that finds another step is a write, too


class _Reading(NamedTuple):
    at: float  # seconds since 1970
    due: float  # monotonic seconds: when the next one is
    answered: bool


class Readings:
    """The last reading of every stage of the pipelines that are under way."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._monotonic, self._draw = monotonic, draw
        self._last: dict[Key, dict[str, _Reading]] = {}

    def forget(self, key: Key) -> None:
        """The pipeline is finished or gone."""
        self._last.pop(key, None)

    def wanted(self, key: Key, stage: str, now: float, stalls: float | None) -> bool:
        """Whether to read a stage; `stalls`: when it counts as stalled, as far as is known, in seconds since 1970.

        What was read before that time does not say that no step was made until then.
        """
        last = self._last.get(key, {}).get(stage)
        return last is None or self._monotonic() >= last.due or (stalls is not None and last.at < stalls <= now)

    def note(self, key: Key, stage: str, now: float, *, answered: bool) -> None:
        """A stage was read, or the store did not answer."""
        due = self._monotonic() + self._pause()
        self._last.setdefault(key, {})[stage] = _Reading(now, due, answered)

    def answered(self, key: Key, stage: str) -> bool:
        """Whether the store answered the last time."""
        return self._last[key][stage].answered

    def rest(self, key: Key) -> float:
        """Seconds until a pipeline of which a stage lives is looked at, although nothing was heard of it."""
        now, known = self._monotonic(), self._last.setdefault(key, {})
        return min((one.due - now for one in known.values() if one.due > now), default=self._pause())

    def _pause(self) -> float:
        """The more pipelines are under way the longer; drawn, so that those of one moment do not stay together."""
        return max(EVERY, len(self._last) / A_SECOND) * self._draw(0.75, 1.25)
