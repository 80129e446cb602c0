"""Types of numbers that can be computed with: torch has others, which hold bits or several numbers at once."""

import warnings
from contextlib import suppress
from functools import lru_cache

import torch

from fastgen_k8s.errors import BadInput


@lru_cache
def computes(dtype: torch.dtype) -> bool:
    """Whether numbers of a type become other numbers: torch has no such function for packed ones and for bits."""
    if dtype.is_complex:
        return True
    with warnings.catch_warnings(), suppress(RuntimeError):  # NotImplementedError is one
        warnings.simplefilter("ignore")  # of quantised types, which are refused
        torch.empty(1, dtype=dtype).to(torch.float64)
        return True
    return False


def check_computes(dtype: torch.dtype, where: str) -> None:
    """Raise BadInput for a type that holds no numbers as they are, as `float4_e2m1fn_x2` with two in a byte."""
    if not computes(dtype):
        raise BadInput(
            f"{where}: wanted numbers that torch computes with, found {str(dtype).removeprefix('torch.')}; "
            "give the weights before they were packed or quantised, or unpacked to bfloat16"
        )
