"""Weights out of any checkpoint that people have."""
# pyright: basic

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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
from fastgen_k8s.networks.groups import Role
from fastgen_k8s.networks.load import build_student, weights

STATE: dict[str, Tensor] = weights(build_student(get_experiment("closed_form/gaussian_kd").model, None))


SHAPES = {name: tuple(value.shape) for name, value in STATE.items()}


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
    "behind diffusion_model": ("x.safetensors", lambda p: save_file(prefixed("diffusion_model.", STATE), p)),
    "the original names behind model.diffusion_model": (
        "x.pt",
        lambda p: torch.save(prefixed("model.diffusion_model.", original_names(STATE)), p),
    ),
    "a training loop's": ("x.ckpt", lambda p: torch.save({"state_dict": STATE, "epoch": 3, "args": {"lr": 0.1}}, p)),
    "a network and its optimiser": ("x.pt", lambda p: torch.save({"net": STATE, "opt": by_number()}, p)),
    "a wrapped module": ("x.pt", lambda p: torch.save({"module": STATE, "global_steps": 3}, p)),
    "flat, with an optimiser beside it": (
        "x.pt",
        lambda p: torch.save({**STATE, "adam": by_number(), "of_weights": by_name(), "seed": torch.tensor(3)}, p),
    ),
    "DCP of an application": (
        "step-7",
        lambda p: dcp_folder(p, prefixed("app.model.", STATE) | prefixed("app.optim.state.", by_name())),
    ),
    "DCP of a trainer": (
        "step-7",
        lambda p: dcp_folder(
            p,
            prefixed("model.", STATE)
            | prefixed("optim.state.", by_name())
            | prefixed("generator_optimizer.", by_name())
            | prefixed("ema.", doubled())
            | {"train_state.step": torch.tensor(7), "random_state.0": torch.zeros(9, dtype=torch.uint8)},
        ),
    ),
    "DCP of a model of networks": (
        "iter_000000007",
        lambda p: dcp_folder(p, prefixed("model.net.", STATE) | prefixed("net_optim.", doubled())),
    ),
    "our own training's checkpoint": (
        "00000007",
        lambda p: dcp_folder(
            p,
            prefixed("student.weights.", STATE)
            | prefixed("student.exp_avg.", doubled())
            | prefixed("fake_score.weights.", doubled()),
        ),
    ),
    "beside a table of shapes": (
        "x.pt",
        lambda p: torch.save({"net": STATE, "param_shapes": {name: value.shape for name, value in STATE.items()}}, p),
    ),
    "a student beside a larger teacher": ("x.pt", lambda p: torch.save({"a": wider(), "b": STATE}, p)),
}


def doubled() -> dict[str, Tensor]:
    return {name: 2 * value for name, value in STATE.items()}


def wider() -> dict[str, Tensor]:
    return {name: torch.cat([value, value]) for name, value in STATE.items()}


def by_name() -> dict[str, Tensor]:
    """What an optimiser keeps of each weight, under the weight's name."""
    return {f"{name}.exp_avg": value for name, value in STATE.items()}


def by_number() -> dict[str, object]:
    """An optimiser's own state dict."""
    return {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_weights(tmp_path: Path, layout: str) -> None:
    name, write = LAYOUTS[layout]
    write(tmp_path / name)
    found = read_weights(tmp_path / name, architecture=SHAPES).state
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[key], value) for key, value in STATE.items())


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
@pytest.mark.parametrize(
    ("layout", "step"),
    [
        ("FastGen's checkpoint", 10000),
        ("a DCP folder", 2000),
        ("DCP of a trainer", 7),
        ("DCP of a model of networks", 7),
    ],
)
def test_the_step_is_read_where_it_is_recorded(tmp_path: Path, layout: str, step: int) -> None:
    name, write = LAYOUTS[layout]
    write(tmp_path / name)
    assert read_weights(tmp_path / name).step == step


NAMED: dict[str, tuple[dict[str, Any], Role, bool, str]] = {
    "a generator": ({"generator": 1, "generator_ema": 2, "critic": 3}, "student", False, "generator"),
    "its average": ({"generator": 1, "generator_ema": 2, "critic": 3}, "student", True, "generator_ema"),
    "its critic": ({"generator": 1, "generator_ema": 2, "critic": 3}, "fake_score", False, "critic"),
    "a network": ({"model": {"net": 1, "ema": 2}}, "student", False, "model.net"),
    "its average beside it": ({"model": {"net": 1, "ema": 2}}, "student", True, "model.ema"),
    "an average beside the model": ({"model": 1, "ema": 2}, "student", True, "ema"),
    "an average of a rate": ({"net": 1, "ema_0999": 2}, "student", True, "ema_0999"),
    "an average of a model": ({"model": 1, "model_ema": 2}, "student", True, "model_ema"),
    "a fake score": ({"model": {"net": 1, "fake_score": 3}}, "fake_score", False, "model.fake_score"),
    "a network beside a fake score": ({"net": 1, "fake_score": 3}, "student", False, "net"),
    "an average inside the model": ({"model": 1, "model.ema": 2}, "student", True, "model.ema"),
    "an average in capitals": ({"net": 1, "netEMA": 2}, "student", False, "net"),
    "an average with a number": ({"net": 1, "ema2": 2}, "student", True, "ema2"),
    "a fake score in one word": ({"net": 1, "fakeScore": 3}, "fake_score", False, "fakeScore"),
    "no average in it": ({"model": {"net": 1}}, "student", True, "found model.net"),
    "no average of weights under no name": ({"": 1}, "student", True, "found weights under no name"),
    "no critic": ({"generator": 1, "generator_ema": 2}, "fake_score", False, "found generator, generator_ema"),
    "an average of the critic": ({"net": 1, "fake_score": 3}, "fake_score", True, "found fake_score, net"),
    "only a teacher": ({"teacher": 1}, "student", False, "found teacher"),
    "two averages": ({"net": 1, "ema_1": 2, "ema_2": 3}, "student", True, "found ema_1, ema_2, net"),
}


@pytest.mark.parametrize("case", NAMED)
@pytest.mark.parametrize("kind", ["pt", "safetensors"])
def test_the_entry_that_was_named_is_read_or_what_is_there_is_listed(tmp_path: Path, case: str, kind: str) -> None:
    content, role, average, said = NAMED[case]
    path = tmp_path / f"x.{kind}"
    if kind == "pt":
        torch.save(filled(content), path)
    else:
        save_file(flat(content), path)
    if said.startswith("found"):
        with pytest.raises(BadInput, match=f"wanted {'averaged' if average else 'raw'} weights of one {role}, {said}$"):
            read_weights(path, role=role, average=average)
        return
    found = read_weights(path, role=role, average=average).state
    assert torch.equal(found["proj_out.bias"], factor(content, said) * STATE["proj_out.bias"])


def filled(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content with the weights, times its numbers, in their places."""
    made = {
        name: {key: value * inner for key, value in STATE.items()} if isinstance(inner, int) else filled(inner)
        for name, inner in content.items()
    }
    return made.pop("", {}) | made


def flat(content: Mapping[str, Any], above: str = "") -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, inner in content.items():
        here = f"{above}{name}." if name else above
        found |= (
            prefixed(here, {k: v * inner for k, v in STATE.items()}) if isinstance(inner, int) else flat(inner, here)
        )
    return found


def factor(content: Mapping[str, Any], place: str) -> int:
    first, _, rest = place.partition(".")
    inner = content.get(place, content.get(first))
    return inner if isinstance(inner, int) else factor(inner, rest)


def test_an_average_is_not_what_a_checkpoint_without_a_word_of_one_holds(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(2)}, tmp_path / "x.pt")
    with pytest.raises(BadInput, match="wanted averaged weights of one student, found conv"):
        read_weights(tmp_path / "x.pt", average=True)


@pytest.mark.parametrize(
    "names",
    [("module.proj_out.bias", "proj_out.bias"), ("model.proj_out.bias", "model.module.proj_out.bias")],
    ids=["at the top", "in a model"],
)
def test_two_names_that_become_one_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    state = prefixed(names[0].removesuffix("proj_out.bias").removeprefix("module."), STATE)
    torch.save(state | dict.fromkeys(names, STATE["proj_out.bias"]), tmp_path / "x.pt")
    with pytest.raises(BadInput, match=r"wanted each weight once, found '.*' and '.*', which name the same"):
        read_weights(tmp_path / "x.pt")


def test_nested_and_dotted_names_that_become_one_are_refused(tmp_path: Path) -> None:
    torch.save({"model": STATE, "model.proj_out.bias": STATE["proj_out.bias"]}, tmp_path / "x.pt")
    with pytest.raises(BadInput, match=r"wanted each name once, found 'model\.proj_out\.bias' twice"):
        read_weights(tmp_path / "x.pt")


def test_a_mapping_that_stands_in_many_places_is_not_counted_out(tmp_path: Path) -> None:
    inner: dict[str, object] = {"a" * 1000: 1}
    for _ in range(14):
        inner = {str(number): inner for number in range(4)}
    torch.save(inner, tmp_path / "x.pt")
    assert (tmp_path / "x.pt").stat().st_size < 10_000
    with pytest.raises(BadInput, match="found more than 64 MiB of names"):
        read_weights(tmp_path / "x.pt")


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
    "an iteration between two": (
        lambda p: torch.save({"model": {"net": STATE}, "iteration": 5.7}, p),
        "wanted a whole number under 'iteration', found 5.7",
    ),
    "an iteration before the first": (
        lambda p: torch.save({"model": {"net": STATE}, "iteration": -3}, p),
        "wanted a whole number under 'iteration', found -3",
    ),
    "an iteration that is a switch": (
        lambda p: torch.save({"model": {"net": STATE}, "iteration": True}, p),
        "wanted a whole number under 'iteration', found True",
    ),
    "many iterations": (
        lambda p: torch.save({"model": {"net": STATE}, "iteration": torch.zeros(3)}, p),
        "wanted a whole number under 'iteration', found Tensor",
    ),
    "an empty folder": (lambda p: p.mkdir(), "wanted a DCP folder, found no .metadata in it"),
    "a folder with code": (evil_folder, r"wanted a checkpoint, found: a pickle that wants \w+\.print"),
    "only the other generator": (
        lambda p: torch.save({"generator_ema": STATE}, p),
        "wanted raw weights of one student, found generator_ema",
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
