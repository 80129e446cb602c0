"""Tensors in files, and files that only look like it."""
# pyright: basic

import io
import pickle
import subprocess
import sys
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.folder import finite
from fastgen_k8s.networks.foreign import read_weights
from fastgen_k8s.networks.numbers import computes
from fastgen_k8s.networks.plain_pickle import PickleRefused
from fastgen_k8s.networks.pth import dense, from_pth, tensor_from_pth, to_pth
from fastgen_k8s.networks.pth_file import check_held
from fastgen_k8s.stages.inspection import inspect
from fastgen_k8s.training.parallel import join

LARGE = 64 << 20  # numbers
WHOLE = to_pth(torch.arange(6.0))


def test_a_view_does_not_drag_its_storage_into_the_file() -> None:
    assert len(to_pth(torch.zeros(1000, 4)[:1])) == len(to_pth(torch.zeros(1, 4)))


def test_equal_tensors_give_equal_bytes() -> None:
    assert to_pth(torch.arange(12).reshape(3, 4)[:, 1]) == to_pth(torch.tensor([1, 5, 9]))


def test_numpy_scalars_beside_tensors_are_read(tmp_path: Path) -> None:
    torch.save({"iteration": np.int64(7), "loss": np.float32(0.5)}, tmp_path / "x.pth")
    assert from_pth(tmp_path / "x.pth", "x") == {"iteration": 7, "loss": 0.5}


def test_a_dictionary_is_not_one_tensor() -> None:
    with pytest.raises(BadInput, match="here: wanted one tensor, found dict"):
        tensor_from_pth(to_pth({"a": torch.zeros(1)}), "here")


@pytest.mark.parametrize("value", [torch.eye(2).to_sparse(), torch.zeros(2, device="meta")], ids=["sparse", "meta"])
def test_a_tensor_without_all_of_its_numbers_is_refused(value: torch.Tensor, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "x.pth")
    with pytest.raises(BadInput, match=r"here: wanted tensors, found a pickle that wants torch\._utils\._rebuild"):
        tensor_from_pth((tmp_path / "x.pth").read_bytes(), "here")


PACKED = torch.zeros(2, 3, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)


class Labelled(torch.Tensor):
    """A tensor of a class of its own, as DTensor is one."""


@pytest.mark.parametrize(
    "value", [torch.zeros(2).as_subclass(Labelled), torch.zeros(2, dtype=torch.complex64).conj()], ids=["own", "view"]
)
def test_a_tensor_that_is_not_plain_is_refused_with_what_to_give_instead(value: torch.Tensor, tmp_path: Path) -> None:
    torch.save({"a": value}, tmp_path / "x.pt")
    with pytest.raises(BadInput, match=r"wanted tensors, found a pickle that wants .*; save plain, dense tensors: "):
        read_weights(tmp_path / "x.pt")


def test_a_tensor_of_a_class_of_its_own_is_not_dense() -> None:
    with pytest.raises(BadInput, match=r"here: wanted a plain tensor, found a Labelled; save plain, dense tensors"):
        dense(torch.zeros(2).as_subclass(Labelled), "here")


def test_a_dtensor_in_a_file_is_refused_with_what_to_give_instead(tmp_path: Path) -> None:
    with join(torch.device("cpu"), "float32", 60):
        mesh = init_device_mesh("cpu", (1,))
        torch.save({"a": distribute_tensor(torch.zeros(2, 3), mesh, [Shard(0)])}, tmp_path / "x.pt")
    with pytest.raises(BadInput, match=r"a DTensor's full_tensor\(\), or give the whole DCP folder$"):
        read_weights(tmp_path / "x.pt")


def packed_folder(path: Path) -> None:
    save({"a": PACKED}, storage_writer=FileSystemWriter(path), no_dist=True)


PACKED_IN: dict[str, Callable[[Path], object]] = {
    "x.pt": lambda path: torch.save({"a": PACKED}, path),
    "x.pth": lambda path: torch.save(PACKED, path),
    "x.safetensors": lambda path: save_file({"a": PACKED}, path),
    "x": packed_folder,
}


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
@pytest.mark.parametrize("name", PACKED_IN)
def test_numbers_that_torch_does_not_compute_with_are_refused_with_what_to_give_instead(
    name: str, tmp_path: Path
) -> None:
    PACKED_IN[name](tmp_path / name)
    with pytest.raises(BadInput, match="wanted numbers that torch computes with, found float4_e2m1fn_x2; give the"):
        list(inspect(str(tmp_path / name)))


def test_every_type_of_number_is_told_from_packed_ones() -> None:
    types = {value for value in vars(torch).values() if isinstance(value, torch.dtype)}
    assert {torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.int64, torch.complex64} <= {
        *filter(computes, types)
    }
    assert not computes(torch.float4_e2m1fn_x2)
    for dtype in filter(computes, types - {torch.complex32}):
        assert finite(torch.zeros(1, dtype=torch.float32).to(dtype))


def compressed(path: Path) -> None:
    """What torch wrote, compressed by another program."""
    written = io.BytesIO(to_pth(torch.zeros(LARGE // 64)))
    with zipfile.ZipFile(written) as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in plain.namelist():
            archive.writestr(name, plain.read(name))


def absurd_entry(path: Path) -> None:
    """An archive whose list of entries says that one of them is large."""
    data = bytearray(WHOLE)
    listed = data.rindex(b"archive/data/0") - 46  # its record in that list
    assert data[listed : listed + 4] == b"PK\x01\x02"
    data[listed + 20 : listed + 28] = 2 * LARGE.to_bytes(4, "little")
    path.write_bytes(data)


def absurd_legacy(path: Path) -> None:
    """A file as torch 1.5 wrote it, whose pickle says that a tensor is large."""
    torch.save(torch.arange(6.0), path, _use_new_zipfile_serialization=False)
    data, count = path.read_bytes(), pickle.BININT + LARGE.to_bytes(4, "little")
    assert data.count(b"K\x06N") == 1
    path.write_bytes(data.replace(b"K\x06N", count + b"N"))


LARGE_CLAIMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "an expanded view": (
        lambda path: torch.save(torch.zeros(1).expand(LARGE), path),
        rf"wanted a number in memory for each of \[{LARGE}\], found 4 bytes",
    ),
    "a compressed entry": (compressed, "found a compressed entry, 'data.pkl'"),
    "an absurd entry": (absurd_entry, rf"found entries of \d{{8}} bytes in a file of {len(WHOLE)}"),
    "an absurd count": (absurd_legacy, rf"found a tensor's {LARGE} numbers where there are 6, in a file of \d+ bytes"),
}


@pytest.mark.parametrize("case", LARGE_CLAIMS)
def test_a_small_file_that_claims_to_be_large_is_refused(case: str, tmp_path: Path) -> None:
    make, found = LARGE_CLAIMS[case]
    make(tmp_path / "x.pth")
    assert (tmp_path / "x.pth").stat().st_size < 10_000
    with pytest.raises(BadInput, match=f"^here: .*{found}"):
        dense(from_pth(tmp_path / "x.pth", "here"), "here")


def test_small_files_that_claim_to_be_large_take_no_memory(tmp_path: Path) -> None:
    for case, (make, _) in LARGE_CLAIMS.items():
        make(tmp_path / f"{case}.pth")
    ran = subprocess.run([sys.executable, "-c", PEAK, *tmp_path.iterdir()], capture_output=True, text=True, check=True)
    assert int(ran.stdout) < 16 << 10  # KiB of address space; each of them claims 256 MiB


PEAK = """
import pathlib, sys
from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.pth import dense, from_pth, to_pth

def peak():
    [line] = [line for line in open("/proc/self/status") if line.startswith("VmPeak")]
    return int(line.split()[1])

dense(from_pth(to_pth(__import__("torch").zeros(3)), ""), "")  # whatever is imported late
before = peak()
for path in map(pathlib.Path, sys.argv[1:]):
    try:
        dense(from_pth(path, "here"), "here").contiguous()
    except BadInput:
        pass
print(peak() - before)
"""


@pytest.mark.parametrize(("held", "fits"), [(24, True), (23, False), (None, False)])
def test_an_entry_holds_what_the_pickle_says_of_it(held: int | None, fits: bool) -> None:
    with nullcontext() if fits else pytest.raises(PickleRefused, match="a tensor's 24 bytes where there are"):
        check_held({"0": (4, 6)}, {} if held is None else {"data/0": held})


def test_a_tensor_of_the_smallest_floating_type_is_read() -> None:
    small = torch.tensor([0.5, 2.0]).to(torch.float8_e4m3fn)
    assert torch.equal(tensor_from_pth(to_pth(small), "here").float(), small.float())


def test_a_file_from_before_torch_1_6_is_read(tmp_path: Path) -> None:
    torch.save({"a": torch.arange(6.0)}, tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(read_weights(tmp_path / "x.pth").state["a"], torch.arange(6.0))


BESIDE_TENSORS: list[dict[str, object]] = [
    {"a": torch.zeros(2, 3).T, "b": torch.nn.Parameter(torch.zeros(2)), "c": torch.zeros(2, dtype=torch.bfloat16)},
    {"a": torch.zeros(2, dtype=torch.bool), "n": np.int64(3), "s": {1, 2}, "c": Counter({5: 1})},
    {"a": torch.zeros(4)[2:], "b": torch.zeros(0, 3), "n": [1.5, None, True, ("x", 2**40)]},
    OrderedDict({"a": torch.zeros(2), "b": torch.Size([2]), "d": torch.device("cpu"), "t": torch.int64}),
]


@pytest.mark.parametrize("value", BESIDE_TENSORS)
@pytest.mark.parametrize("zipped", [True, False])
def test_what_checkpoints_hold_beside_tensors_is_read(value: dict[str, object], zipped: bool, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    found = from_pth(tmp_path / "x.pth", "x")
    assert str(found) == str(value)


@given(st.binary(max_size=200).filter(lambda data: data[:2] != b"\x80\x04"))
def test_any_bytes_are_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(BadInput, match=r"^here: wanted [^\n]*$"):
        tensor_from_pth(data, "here")


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_one_changed_byte_is_read_as_a_tensor_or_refused_in_one_line(place: int, change: int) -> None:
    data = bytes([*WHOLE[:place], WHOLE[place] ^ change, *WHOLE[place + 1 :]])
    try:
        assert isinstance(tensor_from_pth(data, "here"), torch.Tensor)
    except BadInput as error:
        assert "\n" not in str(error)
