"""A step of the training loop against the bare sum of its calls: `python -m benchmarks.training_step`.

The bare sum is one forward, one backward and one optimiser step of the same network on the same states; what the loop
adds are draws, the pick of states, the loss, the clip and the report.
"""

import torch

from benchmarks.nine_million import EXPERIMENT, batch, parameters, training
from benchmarks.timing import Ratio, compare
from fastgen_k8s.networks.network import Network, flow
from fastgen_k8s.training.loop import train

STEPS = 2  # per measurement
WANTED = 1.1  # at most


def measure(pairs: int = 5) -> Ratio:
    """The loop, and the bare calls."""
    method, state = training()
    _, bare_state = training()
    role, given = bare_state.roles["student"], batch(1, ())
    network, x0 = role.module, given.x0
    assert given.path is not None and x0 is not None and isinstance(network, Network)
    x_t, t = given.path[:, 0], torch.full(given.path.shape[:1], 0.999, dtype=torch.float64)

    def by_loop() -> None:
        train(method, state, EXPERIMENT.train.override(f"steps={state.step + STEPS}"), batch)

    def by_bare_calls() -> None:
        for _ in range(STEPS):
            role.forget_gradients()
            error = flow(network, x_t, t, given.condition) - x0  # towards zero they would end in denormal numbers
            torch.autograd.backward(error.square().mean())
            role.optimiser.step()  # pyright: ignore[reportUnknownMemberType]

    return compare(by_loop, by_bare_calls, pairs)


def report(pairs: int = 5) -> str:
    """One line for a person."""
    millions = parameters(training()[0]) / 1e6
    return f"{measure(pairs).line(f'training step, loop against bare calls, {millions:.1f}M')} (wanted <= {WANTED})"


if __name__ == "__main__":
    torch.set_num_threads(1)  # with more on a busy machine OpenMP's barriers spin
    print(report())
