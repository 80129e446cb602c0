"""Which device a process computes on: one code path, chosen here."""

import os

import torch


def local_device() -> torch.device:
    """This process's CUDA device where there is one, the CPU otherwise."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")
