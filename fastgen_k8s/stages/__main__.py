"""One worker process of a stage; the agent starts it, torchrun's environment places it."""

import importlib
import os
import sys
from typing import cast

import structlog
import torch

from fastgen_k8s.artifacts import find_artifact
from fastgen_k8s.errors import FastgenError, OutOfMemory
from fastgen_k8s.stages.stage import Stage, resolve


def main(argv: list[str]) -> int:
    """Run one stage; its exit code."""
    log = structlog.get_logger()
    if "OMP_NUM_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    try:
        job = resolve(argv)
        stage = cast(Stage, importlib.import_module(f"fastgen_k8s.stages.{job.work.kind}"))
        if find_artifact(job.work.output) is None:
            stage.check(job)
            stage.run(job)
    except torch.OutOfMemoryError as error:
        log.error(str(error).splitlines()[0])
        return OutOfMemory.code
    except FastgenError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
