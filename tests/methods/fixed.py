"""Draws that a test hands in, for replaying a step with given columns, times or exits."""

from collections.abc import Sequence

from torch import Tensor

from fastgen_k8s.diffusion.draws import KeyedDraws


class Fixed:
    """Draws by purpose: given tensors [B, ...] and shared numbers; keyed ones for what is not given."""

    def __init__(self, step: int = 1, batch: int = 0, shared: float = 0.0, **given: Tensor) -> None:
        self.step, self.shared, self.given = step, shared, given
        self.keyed = KeyedDraws(0, step, range(batch))

    def normal(self, purpose: str, shape: Sequence[int]) -> Tensor:
        """Given, or keyed."""
        return self.given[purpose] if purpose in self.given else self.keyed.normal(purpose, shape)

    def uniform(self, purpose: str, shape: Sequence[int] = ()) -> Tensor:
        """Given, or keyed."""
        return self.given[purpose] if purpose in self.given else self.keyed.uniform(purpose, shape)

    def integer(self, purpose: str, below: int, shape: Sequence[int] = ()) -> Tensor:
        """Given, or keyed."""
        return self.given[purpose] if purpose in self.given else self.keyed.integer(purpose, below, shape)

    def shared_uniform(self, purpose: str) -> float:
        """The one number."""
        return self.shared
