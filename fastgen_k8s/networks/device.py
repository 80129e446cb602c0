"""Which device a process computes on: one code path, chosen here."""

import os

import torch

from fastgen_k8s.errors import Misdescribed


def local_device() -> torch.device:
    """This process's CUDA device where there is one, the CPU otherwise."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    place, found = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if place >= found:
        raise Misdescribed(f"wanted a GPU for each process of a node, so at least {place + 1}, found {found}")
    return torch.device("cuda", place)
