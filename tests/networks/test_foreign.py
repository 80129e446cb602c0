"""Weights out of any checkpoint that people have."""
# pyright: basic

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from torch.distributed.checkpoint.state_dict_saver import save

from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.networks.foreign import read_weights
from fastgen_k8s.networks.load import build_student, weights

STATE: dict[str, Tensor] = weights(build_student(get_experiment("closed_form/gaussian_kd").model, None))


def original_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The names of Wan's own release for diffusers' names, written down from the two models' attribute names."""
    renamed = (
        ("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
        ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
        ("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
        ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
        ("condition_embedder.time_proj", "time_projection.1"),
        ("attn1.to_out.0", "self_attn.o"),
        ("attn2.to_out.0", "cross_attn.o"),
        ("attn1.to_", "self_attn."),
        ("attn2.to_", "cross_attn."),
        ("attn1.", "self_attn."),
        ("attn2.", "cross_attn."),
        ("ffn.net.0.proj", "ffn.0"),
        ("ffn.net.2", "ffn.2"),
        ("norm2.", "norm3."),
        ("proj_out", "head.head"),
    )
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        new = name
        for ours, theirs in renamed:
            if ours in new:
                new = new.replace(ours, theirs)
                break
        if name == "scale_shift_table":
            new = "head.modulation"
        found[new.replace("scale_shift_table", "modulation")] = value
    return found


def prefixed(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in state.items()}


def dcp_folder(path: Path, state: dict[str, Tensor]) -> None:
    save(state, storage_writer=FileSystemWriter(path), no_dist=True)


LAYOUTS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a flat file": ("x.pt", lambda p: torch.save(STATE, p)),
    "safetensors": ("x.safetensors", lambda p: save_file(STATE, p)),
    "FastGen's checkpoint": (
        "0010000.pth",
        lambda p: torch.save(
            {
                "model": {"net": prefixed("transformer.", STATE)},
                "optimizer": {"net": {"state": {0: {"step": torch.tensor(3.0)}}}},
                "iteration": np.int64(10000),
            },
            p,
        ),
    ),
    "CausVid's generator": ("x.pt", lambda p: torch.save({"generator": prefixed("model.", original_names(STATE))}, p)),
    "compiled and wrapped": ("x.pt", lambda p: torch.save(prefixed("module._orig_mod.", STATE), p)),
    "a DCP folder": ("0002000.net_model", lambda p: dcp_folder(p, prefixed("net.", STATE))),
}


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_weights(tmp_path: Path, layout: str) -> None:
    name, write = LAYOUTS[layout]
    write(tmp_path / name)
    found = read_weights(tmp_path / name).state
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[key], value) for key, value in STATE.items())


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
@pytest.mark.parametrize(("layout", "step"), [("FastGen's checkpoint", 10000), ("a DCP folder", 2000)])
def test_the_step_is_read_where_it_is_recorded(tmp_path: Path, layout: str, step: int) -> None:
    name, write = LAYOUTS[layout]
    write(tmp_path / name)
    assert read_weights(tmp_path / name).step == step


def test_the_averaged_generator_is_read_when_it_is_wanted(tmp_path: Path) -> None:
    doubled = {name: 2 * value for name, value in STATE.items()}
    torch.save({"generator": STATE, "generator_ema": doubled}, tmp_path / "x.pt")
    found = read_weights(tmp_path / "x.pt", ema=True).state
    assert torch.equal(found["proj_out.bias"], 2 * STATE["proj_out.bias"])


class Evil:
    """A pickle that wants to run code."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return print, ("code was run",)


def evil_folder(path: Path) -> None:
    path.mkdir()
    (path / ".metadata").write_bytes(pickle.dumps(Evil(), protocol=2))


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda p: None, "wanted a checkpoint, found none"),
    "a text file": (lambda p: p.write_text("hello"), "wanted tensors, found something else"),
    "an empty file": (lambda p: p.write_bytes(b""), "wanted tensors, found something else"),
    "a tensor": (lambda p: torch.save(torch.zeros(3), p), "wanted a state dict, found Tensor"),
    "code": (
        lambda p: p.write_bytes(pickle.dumps(Evil(), protocol=2)),
        r"wanted tensors, found a pickle that wants \w+\.print",
    ),
    "numbers by name": (lambda p: torch.save({"a": 1.0}, p), "wanted a tensor under 'a', found float"),
    "sparse weights": (
        lambda p: torch.save({"a": torch.eye(2).to_sparse()}, p),
        "wanted tensors, found a pickle that wants torch._utils._rebuild_sparse_tensor",
    ),
    "an iteration that is no number": (
        lambda p: torch.save({"model": {"net": STATE}, "iteration": "ten"}, p),
        "wanted a whole number under 'iteration', found str",
    ),
    "many iterations": (
        lambda p: torch.save({"model": {"net": STATE}, "iteration": torch.zeros(3)}, p),
        "wanted a whole number under 'iteration', found Tensor",
    ),
    "an empty folder": (lambda p: p.mkdir(), "wanted a DCP folder, found no .metadata in it"),
    "a folder with code": (evil_folder, r"wanted a checkpoint, found: a pickle that wants \w+\.print"),
    "only the other generator": (
        lambda p: torch.save({"generator_ema": STATE}, p),
        "wanted 'generator', found generator_ema",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_checkpoint_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    make, message = REFUSED[case]
    make(tmp_path / "x.pt")
    with pytest.raises(BadInput, match=message):
        read_weights(tmp_path / "x.pt")
    assert "code was run" not in capsys.readouterr().out


def test_a_safetensors_file_of_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_text("hello")
    with pytest.raises(BadInput, match="wanted a whole safetensors file"):
        read_weights(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    "metadata",
    [b"", b"hello", b"\x80\x94.", b"\x80\x04\x8c\x01\xff.", b"\x80\x04}}s.", b"\x80\x04]K\x05R."],
    ids=["empty", "text", "protocol", "not UTF-8", "short stack", "not callable"],
)
def test_metadata_that_cannot_be_read_are_refused_in_one_line(tmp_path: Path, metadata: bytes) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/.metadata").write_bytes(metadata)
    with pytest.raises(BadInput, match=r"wanted a checkpoint, found: ."):
        read_weights(tmp_path / "x")


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_a_dcp_folder_without_a_shard_is_refused(tmp_path: Path) -> None:
    dcp_folder(tmp_path / "x", dict(STATE))
    next((tmp_path / "x").glob("*.distcp")).unlink()
    with pytest.raises(BadInput, match=r"x: wanted .*, found: "):
        read_weights(tmp_path / "x")
