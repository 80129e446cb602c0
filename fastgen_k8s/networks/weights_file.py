"""Weights written to files as they lie in memory: no second copy of them is made."""

# pyright: basic
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from fastgen_k8s.errors import StoreFailed, failed_io
from fastgen_k8s.networks.folder import WEIGHTS, first_line

_LARGEST_SHARD = "10GB"  # as diffusers' own


def apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, each alone in its storage; only those are copied that are not so already."""
    taken, found = set[int](), dict[str, Tensor]()
    for name, value in tensors.items():
        value = value.detach().cpu().contiguous()
        storage = value.untyped_storage()
        if storage.nbytes() != value.nbytes or storage.data_ptr() in taken:
            value = value.clone()
        taken.add(value.untyped_storage().data_ptr())
        found[name] = value
    return found


def write_pth(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a file that `torch.load(weights_only=True)` reads; StoreFailed where there is no room."""
    try:
        with path.open("wb") as file:  # an open one, because a file's name would be written into it
            torch.save(dict(tensors), file)
    except OSError as error:
        raise failed_io(error, path) from error
    except RuntimeError as error:  # torch's own, of a write that failed
        if isinstance(error.__context__, OSError):
            raise failed_io(error.__context__, path) from error
        raise


def write_safetensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a safetensors file; StoreFailed where there is no room."""
    try:
        save_file(dict(tensors), path, {"format": "pt"})
    except SafetensorError as error:
        raise StoreFailed(f"{path}: {first_line(error)}") from error


def shards(tensors: Mapping[str, Tensor]) -> tuple[dict[str, dict[str, Tensor]], bytes | None]:
    """The files of a diffusers component by their names; of several the index, which says where each weight is."""
    pattern = WEIGHTS.replace(".safetensors", "{suffix}.safetensors")
    split = split_torch_state_dict_into_shards(dict(tensors), filename_pattern=pattern, max_shard_size=_LARGEST_SHARD)
    files = {file: {name: tensors[name] for name in names} for file, names in split.filename_to_tensors.items()}
    index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
    return files, (json.dumps(index, indent=2, sort_keys=True) + "\n").encode() if split.is_sharded else None
