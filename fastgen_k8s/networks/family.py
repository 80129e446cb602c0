# pyright: basic
"""What one family of video transformers has of its own; everything else is `VideoNetwork`."""

from typing import Any, Protocol

from torch import Tensor

from fastgen_k8s.networks.causal_attention import Pairing


class Family(Protocol):
    """The facts of a family, and the few things that it does in its own way, with transformers of its own class."""

    transformer: Any  # that class, diffusers' own
    times: int  # the network is fed this times t
    pairing: Pairing  # of its rotary positions
    by_head: bool  # queries and keys are normalised over a head's numbers, not over all of a token's
    blocks: str  # the name of its list of blocks
    top: tuple[str, ...]  # names of weights at its top, by which it is found in a checkpoint
    text: str  # the setting that says how many numbers a token of a condition has
    table: str  # the setting that says how many positions there are

    def build(self, settings: Any, sees: int, channels: int) -> Any:
        """A transformer at random for clips of some channels, that is given `sees` of them, one after the other."""
        ...

    def prepare(self, transformer: Any) -> None:
        """Make a transformer ready for `evaluate`; BadInput for one that wants more than a clip, its time and text."""
        ...

    def positions(self, transformer: Any) -> tuple[int, int, int]:
        """How many latent frames, and how many patches of height and width, have a position."""
        ...

    def evaluate(self, transformer: Any, frames: Tensor, times: Tensor, text: Tensor) -> Tensor:
        """The flow of frames [B * T, C, 1, H, W] at times [B * T] given text [B, L, D]."""
        ...
