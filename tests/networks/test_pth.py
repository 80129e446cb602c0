"""Tensors in files, and files that only look like it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.pth import from_pth, tensor_from_pth, to_pth

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
