"""The order of the data: which item a slot of a step gets, as a function of (seed, step, slot)."""

from collections.abc import Sequence
from functools import lru_cache

import torch

from fastgen_k8s.diffusion.draws import generator


def indices(seed: int, step: int, slots: Sequence[int], global_batch: int, items: int) -> list[int]:
    """Items of the slots of a step: epochs of keyed permutations, so that every item comes once per epoch.

    Steps before the first (warm-up: step <= 0) walk epochs of their own, so that warm-up moves no later draw.
    """
    if items < 1:
        raise ValueError("wanted at least one item to draw from")
    places = [(step - 1) * global_batch + slot for slot in slots]
    return [_permutation(seed, place // items, items)[place % items] for place in places]


@lru_cache(maxsize=8)
def _permutation(seed: int, epoch: int, items: int) -> list[int]:
    order = torch.randperm(items, generator=generator(seed, epoch, "order"))
    return [int(index) for index in order]
