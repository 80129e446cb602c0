"""Being asked to stop: a signal sets a flag that the loop reads at each step's end."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Self

Handler = Callable[[int, FrameType | None], object] | int | None
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignal:
    """Whether this process was asked to stop; inside the context a signal asks instead of ending the process."""

    def __init__(self) -> None:
        self.asked = False
        self._before: list[Handler] = []

    def __enter__(self) -> Self:
        self._before = [signal.signal(number, self._ask) for number in SIGNALS]
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in zip(SIGNALS, self._before, strict=True):
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
