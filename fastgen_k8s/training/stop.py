"""Being asked to stop: a signal sets a flag that the loop reads at each step's end."""

import signal
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Whether this process was asked to stop."""

    def __init__(self) -> None:
        self.asked = False

    def listen(self) -> "Stop":
        """From now on a signal asks instead of ending the process; the main thread calls this."""
        for number in SIGNALS:
            signal.signal(number, self._ask)
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
