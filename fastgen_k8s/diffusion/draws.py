"""Random draws without random state: each is a function of (seed, step, slot, purpose) and of nothing else.

So data order, times and noise do not depend on the rank, the world size, the order of evaluation or a restart, and a
test can replay a step with given draws.
"""

import hashlib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor


def generator(*key: int | str) -> torch.Generator:
    """A CPU generator whose stream is a function of the key."""
    text = "/".join(str(part) for part in key)
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)
    return torch.Generator().manual_seed(seed)


@contextmanager
def seeded(*key: int | str) -> Generator[None]:
    """While open, modules initialise from a stream that is a function of the key; nothing is left behind."""
    with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
        # Not torch.manual_seed: that one also seeds the accelerators, which would stay seeded.
        torch.default_generator.manual_seed(generator("initial weights", *key).initial_seed())
        yield


class Draws(Protocol):
    """The draws of one step for the slots of one micro-batch; tests hand in fixed ones."""

    step: int

    def normal(self, purpose: str, shape: Sequence[int]) -> Tensor:
        """Standard normal [B, *shape], float32, one independent stream per slot."""
        ...

    def uniform(self, purpose: str, shape: Sequence[int] = ()) -> Tensor:
        """Uniform on [0, 1) [B, *shape], float64, one independent stream per slot."""
        ...

    def integer(self, purpose: str, below: int, shape: Sequence[int] = ()) -> Tensor:
        """Integers in 0..below-1 [B, *shape], one independent stream per slot."""
        ...

    def shared_uniform(self, purpose: str) -> float:
        """One uniform value for the whole global batch: the same for every slot and rank."""
        ...


class KeyedDraws:
    """Draws keyed by (seed, step, slot, purpose), made on the CPU and moved to `device`."""

    def __init__(self, seed: int, step: int, slots: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.seed, self.step, self.slots, self.device = seed, step, tuple(slots), torch.device(device)

    def normal(self, purpose: str, shape: Sequence[int]) -> Tensor:
        """Standard normal [B, *shape], float32."""
        rows = [torch.randn(tuple(shape), generator=self._stream(slot, purpose)) for slot in self.slots]
        return torch.stack(rows).to(self.device)

    def uniform(self, purpose: str, shape: Sequence[int] = ()) -> Tensor:
        """Uniform on [0, 1) [B, *shape], float64."""
        rows = [
            torch.rand(tuple(shape), generator=self._stream(slot, purpose), dtype=torch.float64) for slot in self.slots
        ]
        return torch.stack(rows).to(self.device)

    def integer(self, purpose: str, below: int, shape: Sequence[int] = ()) -> Tensor:
        """Integers in 0..below-1 [B, *shape]."""
        rows = [torch.randint(below, tuple(shape), generator=self._stream(slot, purpose)) for slot in self.slots]
        return torch.stack(rows).to(self.device)

    def shared_uniform(self, purpose: str) -> float:
        """One uniform value for the whole global batch."""
        return float(torch.rand((), generator=generator(self.seed, self.step, "all", purpose), dtype=torch.float64))

    def _stream(self, slot: int, purpose: str) -> torch.Generator:
        return generator(self.seed, self.step, slot, purpose)
