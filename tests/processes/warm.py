"""Stage workers as real processes that start at once: children of a fork server that has imported torch and diffusers.

An interpreter needs several seconds of CPU for these imports, and tests that kill workers start many.
"""

import multiprocessing
import os
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import IO

from diffusers.models.transformers import transformer_wan

from fastgen_k8s.agent.worker import check, do, ended, stop_when_asked
from fastgen_k8s.stages import pairs

__all__ = [
    "Worker",
    "pairs",
    "transformer_wan",
    "worker",
]  # the stages and their networks are here to be imported early

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


class Worker:
    """A running worker and what it prints."""

    def __init__(self, process: BaseProcess, output: IO[str]) -> None:
        self.process, self.output = process, output

    def await_line(self, text: str) -> str:
        """The next line that contains `text`; fails when the worker ends without one."""
        seen: list[str] = []
        for line in self.output:
            seen.append(line)
            if text in line:
                return line
        raise AssertionError(f"the worker ended without {text!r}: {''.join(seen)}")

    def end(self) -> tuple[int, str]:
        """Exit code (negative for a signal) and the rest of the output, when it has ended."""
        rest = self.output.read()
        self.process.join()
        assert self.process.exitcode is not None
        return self.process.exitcode, rest


@contextmanager
def worker(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> Generator[Worker]:
    """One worker of a stage; killed if it still runs when the block ends."""
    reader, writer = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_run, args=(writer, list(argv), dict(environment or {})))
    process.start()
    writer.close()
    with os.fdopen(os.dup(reader.fileno())) as output, reader:
        try:
            yield Worker(process, output)
        finally:
            process.kill()
            process.join()


def _run(output: Connection, argv: Sequence[str], environment: Mapping[str, str]) -> None:
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    output.close()
    os.environ.update(environment)
    sys.exit(_work(argv))


def _work(argv: Sequence[str]) -> int:
    """Check and do one stage's work, as the processes of an agent do; its exit code."""
    stop_when_asked()
    for task in (check, do):
        end = ended(task, argv)
        if end.code:
            print(f"error: {end.words}", file=sys.stderr)
            return end.code
    return 0
