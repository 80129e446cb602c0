"""Work beside the steps, for what others may see a moment later and training must not wait for."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from fastgen_k8s import log
from fastgen_k8s.errors import StoreFailed


class Background:
    """One piece of work at a time; what is offered meanwhile is left out, for newer will be offered soon."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, name)
        self._pending: Future[None] | None = None

    def offer(self, work: Callable[[], None]) -> None:
        """Begin with it unless something is under way."""
        if self._pending is None or self._pending.done():
            self.wait()
            self._pending = self._thread.submit(work)

    def wait(self) -> None:
        """Return when nothing is under way; a store that failed is a warning, for the next offer tries again."""
        pending, self._pending = self._pending, None
        try:
            if pending is not None:
                pending.result()
        except StoreFailed as error:
            log.warning("not written now, to be written later", reason=str(error))

    def close(self) -> None:
        """Wait and end the thread."""
        self.wait()
        self._thread.shutdown()
