"""The controller as a fork of a process that has imported it: it starts in a small part of the time."""

import os
import sys
import threading
from collections.abc import Mapping
from multiprocessing import connection, get_context
from typing import IO

from fastgen_k8s.artifacts import s3
from fastgen_k8s.controller import serve

_SERVER = get_context("forkserver")
_SERVER.set_forkserver_preload([serve.__name__, s3.__name__])  # the second is imported when it is needed
_LOCK = threading.Lock()  # of two threads that ask at once how a fork ended, only one would be told


class Fork:
    """One of them."""

    def __init__(self, environment: Mapping[str, str], *words: str) -> None:
        reader, writer = _SERVER.Pipe(duplex=False)
        self._process = _SERVER.Process(target=_serve, args=(writer, dict(environment), words), daemon=True)
        with _LOCK:
            self._process.start()
        writer.close()
        self.stderr: IO[str] = os.fdopen(os.dup(reader.fileno()), buffering=1)
        reader.close()

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def kill(self) -> None:
        with _LOCK:
            self._process.kill()

    def wait(self, timeout: float | None = None) -> int:
        if not connection.wait([self._process.sentinel], timeout):
            raise TimeoutError(f"process {self.pid}: wanted its end within {timeout} s")
        with _LOCK:
            self._process.join()
            assert self._process.exitcode is not None
            return self._process.exitcode


def _serve(stderr: connection.Connection, environment: Mapping[str, str], words: tuple[str, ...]) -> None:
    os.dup2(stderr.fileno(), 2)
    os.environ.update(environment)
    sys.exit(serve.main(words))
