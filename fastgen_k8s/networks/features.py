"""Features: the outputs of chosen blocks of a network that runs no further than the last of them."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from fastgen_k8s.errors import Misdescribed


@contextmanager
def only_blocks(owner: nn.Module, name: str, wanted: Sequence[int]) -> Generator[dict[int, Tensor]]:
    """While open, that list of blocks ends with the last wanted one, and the outputs of the wanted ones are collected.

    `name` is the list's in its owner.
    """
    every: Any = owner.get_submodule(name)
    if not wanted or min(wanted) < 0 or max(wanted) >= len(every):
        raise Misdescribed(f"wanted features of blocks {list(wanted)}, found a network of {len(every)} blocks")
    outputs: dict[int, Tensor] = {}

    def collect(index: int) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
            outputs[index] = output

        return hook

    hooks = [every[index].register_forward_hook(collect(index)) for index in set(wanted)]
    setattr(owner, name, every[: max(wanted) + 1])
    try:
        yield outputs
    finally:
        setattr(owner, name, every)
        for hook in hooks:
            hook.remove()
