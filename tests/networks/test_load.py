# pyright: basic
"""Networks out of a teacher's folder or out of nothing: the same each time, and refused when anything is amiss."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.experiments.closed_form import GAUSSIAN
from fastgen_k8s.experiments.families.cosmos import Cosmos
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.networks.by_kind import family_of
from fastgen_k8s.networks.device import local_device
from fastgen_k8s.networks.load import (
    build_discriminator,
    build_student,
    build_teacher,
    load_weights,
    recompute_activations,
    save_transformer,
    weights,
)
from fastgen_k8s.networks.network import flow
from tests.networks import folders, tiny

WAN = Model.model_validate(
    {
        "network": {
            "kind": "wan",
            "num_layers": 3,
            "num_attention_heads": 2,
            "attention_head_dim": 12,
            "ffn_dim": 32,
            "text_dim": 8,
            "freq_dim": 16,
            "patch_size": (1, 1, 2),
            "rope_max_seq_len": 16,
        },
        "text": {"kind": "umt5", "length": 4},
        "codec": {"kind": "none"},
        "latent": (3, 6, 2, 4),
        "chunk_size": 2,
        "window": 2,
        "sink": 1,
    }
)
COSMOS = WAN.model_copy(
    update={
        "network": Cosmos(
            kind="cosmos",
            num_layers=3,
            num_attention_heads=2,
            attention_head_dim=12,
            mlp_ratio=2.0,
            adaln_lora_dim=4,
            text_embed_dim=8,
            crossattn_proj_in_channels=20,
            patch_size=(1, 1, 2),
            max_size=(16, 8, 8),
        )
    }
)
each_family = pytest.mark.parametrize(("model", "make"), [(WAN, tiny.wan), (COSMOS, tiny.cosmos)])
WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    return folders.transformer(tmp_path)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Whether two state dicts are equal bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@each_family
def test_a_teacher_is_what_its_folder_says(tmp_path: Path, model: Model, make: tiny.Make) -> None:
    make().save_pretrained(tmp_path / "transformer")
    assert same(weights(build_teacher(model, tmp_path)), dict(make().state_dict()))


def test_a_teacher_in_several_files_is_read_whole(tmp_path: Path) -> None:
    assert same(weights(build_teacher(WAN, folders.in_several_files(tmp_path))), dict(tiny.wan().state_dict()))


def test_half_precision_weights_become_float32_masters(tmp_path: Path) -> None:
    tiny.wan().half().save_pretrained(tmp_path / "transformer")
    assert {value.dtype for value in weights(build_teacher(WAN, tmp_path)).values()} == {torch.float32}


@pytest.mark.parametrize("model", [WAN, COSMOS])
def test_a_student_saved_as_a_folder_is_read_back_bit_for_bit(tmp_path: Path, model: Model) -> None:
    student = build_student(model, None)
    save_transformer(student, tmp_path / "transformer")
    assert same(weights(build_student(model, tmp_path)), weights(student))


@each_family
def test_a_student_saved_as_a_folder_is_one_of_diffusers(tmp_path: Path, model: Model, make: tiny.Make) -> None:
    student = build_student(model, None)
    save_transformer(student, tmp_path)
    stock = type(make())
    read = stock.from_config(stock.load_config(tmp_path))
    read.load_state_dict(load_file(tmp_path / Path(WEIGHTS).name))
    assert same(dict(read.state_dict()), weights(student))


def test_a_teacher_is_frozen(teacher: Path) -> None:
    assert not any(parameter.requires_grad for parameter in build_teacher(WAN, teacher).parameters())


def test_a_student_takes_chunk_window_and_sink_from_the_model(teacher: Path) -> None:
    student = build_student(WAN, teacher)
    assert (student.chunk_size, student.window, student.sink) == (2, 2, 1)


@pytest.mark.parametrize("init", ["teacher", "random"])
def test_a_fake_score_sees_the_whole_clip(teacher: Path, init: Literal["teacher", "random"]) -> None:
    assert family_of(WAN).fake_score(WAN, teacher, init).chunk_size is None


@each_family
def test_a_fake_score_starts_as_the_teacher(tmp_path: Path, model: Model, make: tiny.Make) -> None:
    make().save_pretrained(tmp_path / "transformer")
    assert same(
        weights(family_of(model).fake_score(model, tmp_path, "teacher")), weights(build_teacher(model, tmp_path))
    )


def test_a_fake_score_of_a_closed_form_starts_as_the_teacher() -> None:
    x, t, text = torch.randn(2, *GAUSSIAN.latent), torch.tensor([0.9, 0.3]), {"text": torch.eye(2)[:, None]}
    fake, teacher = family_of(GAUSSIAN).fake_score(GAUSSIAN, None, "teacher"), build_teacher(GAUSSIAN, None)
    assert torch.equal(flow(fake, x, t, text), flow(teacher, x, t, text))


def test_initial_weights_are_the_same_each_time_and_leave_the_random_state_alone() -> None:
    torch.manual_seed(7)
    state = torch.random.get_rng_state()
    assert same(weights(build_student(GAUSSIAN, None)), weights(build_student(GAUSSIAN, None)))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_recomputed_activations_run_every_block_twice_and_change_no_gradient() -> None:
    once, twice = gradient_and_runs(recompute=False), gradient_and_runs(recompute=True)
    assert (once[1], twice[1]) == (2, 4)
    assert torch.equal(once[0], twice[0])


def gradient_and_runs(recompute: bool) -> tuple[Tensor, int]:
    """The gradient of a state, and how often a block ran for it."""
    student, x, ran = build_student(GAUSSIAN, None), torch.ones(1, *GAUSSIAN.latent, requires_grad=True), list[int]()
    if recompute:
        recompute_activations(student)
    for block in student.blocks:
        block.register_forward_pre_hook(lambda *_: ran.append(1))
    flow(student, x, torch.tensor([0.5]), {"text": torch.eye(2)[:1, None]}).sum().backward()
    assert x.grad is not None
    return x.grad, len(ran)


def test_roles_start_from_different_weights() -> None:
    assert not same(
        weights(build_student(GAUSSIAN, None)), weights(family_of(GAUSSIAN).fake_score(GAUSSIAN, None, "random"))
    )


@each_family
def test_a_discriminator_has_a_head_for_each_block(tmp_path: Path, model: Model, make: tiny.Make) -> None:
    make().save_pretrained(tmp_path / "transformer")
    network = build_teacher(model, tmp_path)
    found = network(tiny.clip(6), tiny.times(6), tiny.condition(), blocks=(0, 2)).features
    assert build_discriminator(network, (0, 2))(found).shape == (2,)


@pytest.mark.parametrize(("blocks", "found"), [((0, 3), r"some of 3 blocks, found \[0, 3\]"), ((), r"found \[\]")])
def test_a_discriminator_on_blocks_that_do_not_exist_is_refused(
    teacher: Path, blocks: tuple[int, ...], found: str
) -> None:
    with pytest.raises(Misdescribed, match=found):
        build_discriminator(build_teacher(WAN, teacher), blocks)


def test_a_discriminator_on_a_closed_form_is_refused() -> None:
    with pytest.raises(Misdescribed, match=r"method\.gan wants a teacher with blocks"):
        build_discriminator(build_teacher(GAUSSIAN, None), (0,))


def changed(name: str, change: Callable[[Tensor], Tensor | None]) -> Callable[[Path], None]:
    """Rewrite one tensor of the teacher's weights, or leave it out."""

    def rewrite(folder: Path) -> None:
        state = load_file(folder / WEIGHTS)
        new = change(state.pop(name))
        save_file(state if new is None else state | {name: new.contiguous()}, folder / WEIGHTS)

    return rewrite


def configured(**settings: object) -> Callable[[Path], None]:
    """Change the teacher's config."""

    def rewrite(folder: Path) -> None:
        path = folder / "transformer" / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | settings))

    return rewrite


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "torn weights": (
        lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-9]),
        "wanted a whole safetensors file",
    ),
    "text as weights": (lambda folder: (folder / WEIGHTS).write_text("weights"), "wanted a whole safetensors file"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), "wanted a file, found none"),
    "no config": (lambda folder: (folder / "transformer/config.json").unlink(), "wanted a file, found none"),
    "torn config": (lambda folder: (folder / "transformer/config.json").write_text("{"), "wanted JSON"),
    "a list as config": (lambda folder: (folder / "transformer/config.json").write_text("[]"), "found list"),
    "no transformer": (lambda folder: (folder / "transformer").rename(folder / "unet"), "transformer/, found unet"),
    "a config without end": (
        lambda folder: (folder / "transformer/config.json").write_text("[" * 100_000),
        "wanted JSON",
    ),
    "an index of numbers": (
        lambda folder: (folder / f"{WEIGHTS}.index.json").write_text('{"weight_map": {"a": 5}}'),
        "wanted a weight_map of file names",
    ),
    "an index of long names": (
        lambda folder: (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": {"a": "a" * 300}})),
        "a{300}: File name too long",
    ),
    "an index of folders": (
        lambda folder: (folder / f"{WEIGHTS}.index.json").write_text('{"weight_map": {"a": ".."}}'),
        "wanted a file, found none",
    ),
    "another class": (
        configured(_class_name="UNet2DConditionModel"),
        "wanted a WanTransformer3DModel, found UNet2DConditionModel",
    ),
    "ill-typed settings": (
        configured(num_layers="four"),
        r"wanted num_layers 3 as in the experiment's model, found \"four\"",
    ),
    "heads of odd width": (
        configured(attention_head_dim=7),
        "wanted attention_head_dim 12 as in the experiment's model",
    ),
    "an unknown setting": (configured(wings=2), "wanted a WanTransformer3DModel's settings, found .*wings"),
    "whole numbers as weights": (
        changed("proj_out.bias", lambda bias: bias.int()),
        r"wanted proj_out\.bias of torch\.float32, found torch\.int32",
    ),
    "fewer layers": (
        configured(num_layers=2),
        r"config\.json: wanted num_layers 3 as in the experiment's model, found 2",
    ),
    "more layers": (
        configured(num_layers=4),
        r"config\.json: wanted num_layers 3 as in the experiment's model, found 4",
    ),
    "heads of images": (configured(image_dim=8), r"wanted image_dim null as in the experiment's model, found 8"),
    "other channels": (configured(in_channels=4), "wanted in_channels 3 as in the experiment's model, found 4"),
    "patches that do not fit": (
        configured(patch_size=[1, 1, 3]),
        r"wanted patch_size .* as in the experiment's model, found \[1, 1, 3\]",
    ),
    "too few positions": (
        configured(rope_max_seq_len=5),
        "wanted rope_max_seq_len .* as in the experiment's model, found 5",
    ),
    "a missing tensor": (changed("proj_out.bias", lambda _: None), r"found 1 missing \(proj_out\.bias\)"),
    "another shape": (
        changed("proj_out.bias", lambda bias: bias[:-1]),
        r"wanted proj_out.bias of shape \[6\], found \[5\]",
    ),
    "a value that is not finite": (
        changed("proj_out.bias", lambda bias: bias / 0),
        "found a non-finite value in proj_out.bias",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_folder_with_a_fault_is_refused_in_one_line(teacher: Path, case: str) -> None:
    spoil, found = REFUSED[case]
    spoil(teacher)
    with pytest.raises(BadInput, match=found) as error:
        build_teacher(WAN, teacher)
    assert "\n" not in str(error.value)


def test_a_folder_of_another_family_is_refused(teacher: Path) -> None:
    with pytest.raises(BadInput, match="wanted a CosmosTransformer3DModel, found WanTransformer3DModel"):
        build_teacher(COSMOS, teacher)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("network.max_size=[5, 8, 8]", r"found max_size \(5, 8, 8\)"),
        ("network.max_size=[16, 1, 8]", r"found max_size \(16, 1, 8\)"),
        ("network.patch_size=[1, 3, 1]", "wanted patches that divide a latent of 2 x 4, found 3 x 1"),
    ],
)
def test_a_cosmos_that_does_not_fit_the_model_is_described_wrongly(setting: str, message: str) -> None:
    with pytest.raises(Misdescribed, match=message):
        build_student(COSMOS.override(setting), None)


@pytest.mark.parametrize(("folder", "found"), [(None, "found none given"), (Path("no/such"), "found no such folder")])
def test_a_missing_folder_is_refused(folder: Path | None, found: str) -> None:
    with pytest.raises(BadInput, match=found):
        build_teacher(WAN, folder)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("network.text_dim=3", "wanted text_dim 2, one a label, found 3"),
        ("network.patch_size=[1, 2, 2]", "wanted patches that divide a latent of 1 x 1, found 2 x 2"),
        ("network.rope_max_seq_len=3", "found rope_max_seq_len 3"),
        ("network.attention_head_dim=7", "multiple of 2"),
    ],
)
def test_a_network_that_does_not_fit_the_model_is_described_wrongly(setting: str, message: str) -> None:
    with pytest.raises(Misdescribed, match=message):
        build_student(GAUSSIAN.override(setting), None)


def test_weights_of_another_network_are_refused_with_their_names(teacher: Path) -> None:
    with pytest.raises(BadInput, match=r"the bridge: wanted the weights of this architecture, found \d+ unknown"):
        load_weights(
            build_student(WAN.override("network.num_layers=1"), None),
            weights(build_teacher(WAN, teacher)),
            "the bridge",
        )


@pytest.mark.parametrize(("place", "wanted"), [("0", "cuda:0"), ("1", "cuda:1")])
def test_each_process_of_a_node_has_a_gpu_of_its_own(place: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    two_gpus(place, monkeypatch)
    assert local_device() == torch.device(wanted)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    two_gpus("2", monkeypatch)
    with pytest.raises(Misdescribed, match="wanted a GPU for each process of a node, so at least 3, found 2"):
        local_device()


def two_gpus(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process `place` of a node with two GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", place)
