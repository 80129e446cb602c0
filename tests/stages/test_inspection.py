"""What `inspect` says of artifacts, files and folders, whole and torn."""
# pyright: basic

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from torch.distributed.checkpoint.state_dict_saver import save

from fastgen_k8s.artifacts import begin
from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.folder import read_component
from fastgen_k8s.networks.pth import to_pth
from fastgen_k8s.stages.inspection import inspect, main
from tests.networks import folders, tiny

TEACHER = read_component(Path("examples/moving_shapes/teacher/transformer"))


def said(path: Path) -> str:
    """Everything that is said."""
    return "\n".join(inspect(str(path)))


def test_an_artifact_says_what_it_is_and_that_it_is_whole(gaussian_conditions: Path) -> None:
    lines = said(gaussian_conditions)
    assert lines.startswith("artifact: conditions ")
    assert "prompts: 2" in lines
    assert lines.splitlines()[-1].startswith("whole: 5 files")


def test_a_torn_artifact_is_named_with_its_file(tmp_path: Path) -> None:
    writer = begin(str(tmp_path / "made"), "conditions", "0" * 64, {})
    writer.put("prompts.json", b"[]")
    writer.commit({})
    (tmp_path / "made/prompts.json").write_bytes(b"[")
    with pytest.raises(BadInput, match=r"prompts\.json: torn"):
        said(tmp_path / "made")


def test_an_unfinished_artifact_says_what_it_will_be(tmp_path: Path) -> None:
    begin(str(tmp_path / "made"), "pairs", "0" * 64, {})
    assert said(tmp_path / "made") == "unfinished: pairs 0000000000000000"


def test_weights_say_how_many_parameters_of_which_kind(tmp_path: Path) -> None:
    state = {"a.weight": torch.zeros(3, 4), "a.bias": torch.zeros(3, dtype=torch.float16)}
    (tmp_path / "weights.pt").write_bytes(to_pth(state))
    assert "15 parameters in 2 tensors, float16, float32" in said(tmp_path / "weights.pt")


def test_a_table_of_shapes_beside_the_weights_is_no_network(tmp_path: Path) -> None:
    shapes = {name: value.shape for name, value in TEACHER.items()}
    torch.save({"net": TEACHER, "param_shapes": shapes}, tmp_path / "x.pt")
    lines = said(tmp_path / "x.pt").splitlines()
    assert lines[1:] == ["layout: {net: ...}", "540,024 parameters in 123 tensors, float16", "whole"]


def test_weights_that_are_not_finite_are_named(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(to_pth({"a.weight": torch.full((2,), torch.nan), "b": torch.zeros(1)}))
    assert "not finite: a.weight" in said(tmp_path / "weights.pt")


def test_one_tensor_says_its_shape(tmp_path: Path) -> None:
    (tmp_path / "path.pth").write_bytes(to_pth(torch.zeros(4, 2, 6, 1, 1)))
    assert said(tmp_path / "path.pth").startswith("file: one tensor [4, 2, 6, 1, 1] float32")


def test_a_folder_of_artifacts_says_what_each_is(tmp_path: Path) -> None:
    for name in ("one", "other"):
        begin(str(tmp_path / name), "pairs", "0" * 64, {})
    assert said(tmp_path).count("unfinished: pairs") == 2


@pytest.mark.parametrize(
    ("content", "name"),
    [(b"hello", "notes.txt"), (b"hello", "weights.pt"), (b"hello", "weights.safetensors"), (b"", "path.pth")],
)
def test_a_file_of_something_else_is_one_line_and_65(
    content: bytes, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    assert main([str(tmp_path / name)]) == 65
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path / name}")


@pytest.mark.parametrize("config", ["", "{", "[]"])
def test_a_diffusers_folder_with_a_spoilt_config_is_refused(config: str, tmp_path: Path) -> None:
    (tmp_path / "transformer").mkdir()
    (tmp_path / "transformer/config.json").write_text(config)
    with pytest.raises(BadInput, match=r"config\.json: wanted "):
        said(tmp_path)


def test_a_diffusers_folder_in_several_files_is_read_whole(tmp_path: Path) -> None:
    count = sum(value.numel() for value in tiny.wan().state_dict().values())
    assert f"{count:,} parameters in " in said(folders.in_several_files(tmp_path))


def under(prefix: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in state.items()}


BESIDE: dict[str, Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]] = {
    "an application": lambda state: under("app.model.", state) | {"app.step": torch.tensor(3)},
    "a trainer": lambda state: (
        under("model.", state)
        | {f"optim.state.{name}.exp_avg": value for name, value in state.items()}
        | {f"generator_optimizer.{name}.step": torch.tensor(3.0) for name in state}
        | {"train_state.step": torch.tensor(3), "random_state.0": torch.zeros(9, dtype=torch.uint8)}
    ),
    "a model of networks": lambda state: under("model.net.", state) | under("net_optim.", state),
}


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
@pytest.mark.parametrize("case", BESIDE)
def test_a_dcp_folder_counts_the_weights_and_nothing_beside_them(case: str, tmp_path: Path) -> None:
    save(BESIDE[case](TEACHER), storage_writer=FileSystemWriter(tmp_path / "step-3"), no_dist=True)
    lines = said(tmp_path / "step-3")
    assert [line for line in lines.splitlines() if "parameters" in line] == [
        "540,024 parameters in 123 tensors, float16"
    ]
    assert "step: 3" in lines


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_an_average_beside_the_weights_is_counted_by_itself(tmp_path: Path) -> None:
    save(under("net.", TEACHER) | under("ema.", TEACHER), storage_writer=FileSystemWriter(tmp_path / "x"), no_dist=True)
    lines = said(tmp_path / "x").splitlines()
    assert lines.count("540,024 parameters in 123 tensors, float16") == 2
    assert "beside it: net" in lines or "beside it: ema" in lines


def test_a_shard_of_a_save_is_called_one(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "x.safetensors", {"DCP_SHARDING_INFO": "{}"})
    with pytest.raises(
        BadInput, match=r"x\.safetensors: wanted whole weights, found one shard of a HuggingFace-storage"
    ):
        said(tmp_path / "x.safetensors")


def test_a_training_that_names_no_checkpoint_is_refused(tmp_path: Path) -> None:
    begin(str(tmp_path / "made"), "training", "0" * 64, {}).commit({})
    with pytest.raises(BadInput, match="wanted a training with its checkpoint"):
        said(tmp_path / "made")


@pytest.mark.parametrize("name", ["nothing", ""])
def test_nothing_that_we_know_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="wanted"):
        said(tmp_path / name)


def test_what_others_named_is_cleaned_unless_it_is_wanted_raw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(str(tmp_path / "made"), "pairs", "0" * 64, {}).commit({"red \x1b[31m\u202e": 1})
    assert main([str(tmp_path / "made")]) == 0
    assert "red  [31m : 1\n" in capsys.readouterr().out
    assert main([str(tmp_path / "made"), "--raw"]) == 0
    assert "red \x1b[31m\u202e: 1\n" in capsys.readouterr().out
