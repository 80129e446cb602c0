"""The API server's time, known from its answers: what is written down does not depend on this machine's clock."""

import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

_RESOLUTION = 1.0  # seconds: a Date header has whole ones, rounded down
_SLACK = 1.0  # seconds that the server's clock may go back before we follow


def anchored(held: float | None, date: float, sent: float, received: float) -> float:
    """The offset of the server's clock to ours, after one more answer.

    The answer was made between `sent` and `received`, so the offset lies between the two bounds below. The largest
    lower bound is the closest to the truth; a held one that is clearly too large means that the clock was set back.
    """
    least, most = date - received, date + _RESOLUTION - sent
    return least if held is None or held < least or held > most + _SLACK else held


class ServerClock:
    """Seconds since the epoch as a server counts them, to within a second or so; safe for threads."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._offset: float | None = None
        self._lock = threading.Lock()

    def learn(self, date: str | None, sent: float) -> None:
        """Take the Date header of an answer to a request sent at that monotonic time."""
        received = self._monotonic()
        try:
            said = parsedate_to_datetime(date or "").timestamp()
        except ValueError:  # a proxy's answer may have none
            return
        with self._lock:
            self._offset = anchored(self._offset, said, sent, received)

    def now(self) -> float:
        """The server's time now; LookupError before its first answer."""
        with self._lock:
            if self._offset is None:
                raise LookupError("wanted the API server's time, found no answer of it yet")
            return self._offset + self._monotonic()
