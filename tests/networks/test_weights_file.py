"""Weights written to files: the bytes that they had in memory, and one line where there is no room."""
# pyright: basic

import json
import resource
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from fastgen_k8s.errors import StoreFailed
from fastgen_k8s.networks import weights_file
from fastgen_k8s.networks.folder import read_component
from fastgen_k8s.networks.pth import to_pth
from fastgen_k8s.networks.weights_file import apart, shards, write_pth, write_safetensors
from tests.networks import tiny

WRITERS = {"pt": write_pth, "safetensors": write_safetensors}


@pytest.mark.parametrize(("kind", "in_memory"), [("pt", to_pth), ("safetensors", lambda t: save(t, {"format": "pt"}))])
def test_a_file_has_the_bytes_that_were_made_in_memory(
    tmp_path: Path, kind: str, in_memory: Callable[[dict[str, Tensor]], bytes]
) -> None:
    state = dict(tiny.wan().state_dict())
    WRITERS[kind](apart(state), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == in_memory(state)


def test_only_what_shares_a_storage_is_copied() -> None:
    whole = torch.arange(12.0)
    given = {"alone": torch.zeros(3), "part": whole[:6], "turned": torch.zeros(2, 3).T, "one": whole, "other": whole}
    found = apart(given)
    assert all(torch.equal(found[name], value) for name, value in given.items())
    assert all(value.untyped_storage().nbytes() == value.nbytes for value in found.values())
    kept = {name for name, value in found.items() if value.data_ptr() == given[name].data_ptr()}
    assert kept == {"alone", "one"}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_that_finds_no_room_is_one_line_and_74(tmp_path: Path, kind: str) -> None:
    with no_file_above(1 << 20), pytest.raises(StoreFailed, match=r"x: .*[Ff]ile too large") as error:
        WRITERS[kind]({"a": torch.zeros(1 << 20)}, tmp_path / "x")
    assert "\n" not in str(error.value)


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("largest", "several"), [("1GB", False), ("20KB", True)])
def test_a_component_of_several_files_is_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest: str, several: bool
) -> None:
    monkeypatch.setattr(weights_file, "_LARGEST_SHARD", largest)
    state: Mapping[str, Tensor] = dict(tiny.wan().state_dict())
    files, index = shards(state)
    assert (len(files) > 1, index is not None) == (several, several)
    for name, held in files.items():
        write_safetensors(held, tmp_path / name)
    if index is not None:
        (tmp_path / "diffusion_pytorch_model.safetensors.index.json").write_bytes(index)
        total = sum(value.nbytes for value in state.values())
        assert json.loads(index)["metadata"] == {"total_size": total}
    found = read_component(tmp_path)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], value) for name, value in state.items())
