"""How long training waits for a checkpoint, written at once or in the background.

`python -m benchmarks.checkpoint_stall`. 9 million parameters with the moments of AdamW and an average are 144 MB.
"""

import tempfile
import time
from collections.abc import Callable
from statistics import median

import torch

from benchmarks.nine_million import training
from benchmarks.timing import Ratio
from fastgen_k8s.artifacts import store_at
from fastgen_k8s.experiments.schema import Ema
from fastgen_k8s.training.checkpoint import Checkpoints
from fastgen_k8s.training.parallel import join
from fastgen_k8s.training.state import TrainingState


def measure(pairs: int = 5) -> Ratio:
    """The wait with and without a thread; after a background write the measurement rests until it has ended."""
    with tempfile.TemporaryDirectory() as folder, join(torch.device("cpu"), "float32", 60) as world:
        _, state = training(Ema(decay=0.9, start=0))
        checkpoints = Checkpoints(store_at(folder), world, "0001-bench", 1, {})
        _at_once(checkpoints, state)
        seconds = list[tuple[float, float]]()
        for _ in range(pairs):
            waited = _timed(lambda: _at_once(checkpoints, state))
            seconds.append((waited, _timed(lambda: _in_background(checkpoints, state))))
            checkpoints.wait()
    slows, fasts = zip(*seconds, strict=True)
    return Ratio(median(slows), median(fasts), median(slow / fast for slow, fast in seconds), pairs)


def _at_once(checkpoints: Checkpoints, state: TrainingState) -> None:
    _in_background(checkpoints, state)
    checkpoints.wait()


def _in_background(checkpoints: Checkpoints, state: TrainingState) -> None:
    state.step += 1
    checkpoints.save(state)


def _timed(function: Callable[[], None]) -> float:
    begun = time.perf_counter()  # waiting is what is measured
    function()
    return time.perf_counter() - begun


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(measure().line("checkpoint, at once against in the background: wait of the training"))
