"""The bridge: every key and value of a checkpoint accounted for, or a refusal that names what is wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fastgen_k8s.artifacts import begin, open_artifact
from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.networks.load import build_student, weights
from fastgen_k8s.stages import sample
from fastgen_k8s.stages.student import student_state
from fastgen_k8s.training.checkpoint import load_role
from tests.conftest import job_of, run_stage
from tests.networks import folders, tiny
from tests.stages.imports import imported_by

KD, SF = "closed_form/gaussian_kd", "closed_form/gaussian_sf"
STATE: dict[str, Tensor] = weights(build_student(get_experiment(KD).model, None))


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory, gaussian_conditions: Path) -> Path:
    """A CausalKD training of two steps, with averaged weights."""
    root = tmp_path_factory.mktemp("training")
    small = ("pairs.samples_per_prompt=4", "pairs.block_size=8")
    run_stage("pairs", KD, root / "pairs", *small, conditions=gaussian_conditions)
    short = ("train.steps=2", "train.global_batch=4", "train.ema={decay: 0.9, start: 0}")
    run_stage("train", KD, root / "kd", *short, conditions=gaussian_conditions, pairs=root / "pairs")
    return root / "kd"


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("form", ["pt", "safetensors", "diffusers"])
@pytest.mark.parametrize("kind", ["raw", "ema"])
def test_what_comes_out_is_what_was_trained(tmp_path: Path, training: Path, form: str, kind: str) -> None:
    settings = (f"bridge.format={form}", f"bridge.weights={kind}")
    artifact = run_stage("bridge", KD, tmp_path / "b", *settings, checkpoint=training)
    trained, _ = load_role(open_artifact(str(training), "training"), "student", "ema" if kind == "ema" else "raw")
    assert equal(dict(student_state(artifact, "raw")), trained)


def test_a_training_becomes_a_file_without_diffusers(tmp_path: Path, training: Path) -> None:
    assert imported_by(job_of("bridge", KD, tmp_path / "b", checkpoint=training)) == []


def test_raw_and_averaged_weights_differ(training: Path) -> None:
    raw, averaged = (load_role(open_artifact(str(training), "training"), "student", kind)[0] for kind in ("raw", "ema"))
    assert not equal(raw, averaged)


def test_the_flat_file_loads_as_a_plain_state_dict(tmp_path: Path, training: Path) -> None:
    run_stage("bridge", KD, tmp_path / "b", checkpoint=training)
    loaded: dict[str, Tensor] = torch.load(tmp_path / "b/ode_init.pt", weights_only=True)
    assert loaded.keys() == STATE.keys()


def test_the_manifest_carries_times_chunk_and_origin(tmp_path: Path, training: Path) -> None:
    artifact = run_stage("bridge", KD, tmp_path / "b", checkpoint=training)
    facts = artifact.manifest.facts
    assert facts["t_list"] == [0.999, 0.937, 0.833, 0.624, 0.0]
    assert (facts["chunk_size"], facts["step"], facts["role"], facts["weights"]) == (2, 2, "student", "raw")
    assert facts["origin"] == open_artifact(str(training), "training").manifest.digest


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.chunk_size=3", "wanted a student with chunk_size 3, found 2"),
        ("model.t_list=[0.999,0.9,0]", r"wanted a student with t_list \[0\.999, 0\.9, 0\.0\], found"),
    ],
)
def test_a_training_for_another_student_is_refused(tmp_path: Path, training: Path, setting: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        run_stage("bridge", KD, tmp_path / "b", setting, checkpoint=training)
    assert not (tmp_path / "b").exists()


def test_averaged_weights_of_a_training_without_them_are_refused(tmp_path: Path, gaussian_conditions: Path) -> None:
    small = ("pairs.samples_per_prompt=2", "pairs.block_size=4")
    run_stage("pairs", KD, tmp_path / "pairs", *small, conditions=gaussian_conditions)
    short = ("train.steps=1", "train.global_batch=2")
    inputs = {"conditions": gaussian_conditions, "pairs": tmp_path / "pairs"}
    run_stage("train", KD, tmp_path / "kd", *short, **inputs)
    with pytest.raises(BadInput, match=r"wanted averaged weights, found a training without train\.ema"):
        run_stage("bridge", KD, tmp_path / "b", "bridge.weights=ema", checkpoint=tmp_path / "kd")


def without(name: str) -> dict[str, Tensor]:
    return {key: value for key, value in STATE.items() if key != name}


def with_value(name: str, value: Tensor) -> dict[str, Tensor]:
    return {**STATE, name: value}


def written(path: Path, state: dict[str, Tensor]) -> None:
    torch.save(state, path)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a text file": (lambda p: p.write_text("weights"), "wanted tensors, found something else"),
    "a missing weight": (lambda p: written(p, without("proj_out.bias")), r"found 1 missing \(proj_out\.bias\)"),
    "an unknown weight": (lambda p: written(p, with_value("extra", torch.zeros(1))), r"found 1 unknown \(extra\)"),
    "another shape": (
        lambda p: written(p, with_value("proj_out.bias", torch.zeros(7))),
        r"wanted proj_out\.bias of shape \[2\], found \[7\]",
    ),
    "a value that is not finite": (
        lambda p: written(p, with_value("proj_out.bias", torch.tensor([0.0, torch.nan]))),
        r"wanted finite weights, found a non-finite value in proj_out\.bias",
    ),
    "another architecture": (lambda p: written(p, {"conv.weight": torch.zeros(3, 3)}), r"missing \(.*unknown \(conv"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_checkpoint_that_does_not_fit_is_refused_and_nothing_is_written(tmp_path: Path, case: str) -> None:
    make, message = REFUSED[case]
    make(tmp_path / "x.pt")
    with pytest.raises(BadInput, match=message):
        run_stage("bridge", KD, tmp_path / "b", checkpoint=tmp_path / "x.pt")
    assert not (tmp_path / "b").exists()


def test_a_foreign_checkpoint_crosses_too(tmp_path: Path) -> None:
    torch.save({"model": {"net": STATE}, "iteration": 10}, tmp_path / "0000010.pth")
    artifact = run_stage("bridge", KD, tmp_path / "b", checkpoint=tmp_path / "0000010.pth")
    assert equal(dict(student_state(artifact, "raw")), STATE)
    assert artifact.manifest.facts["step"] == 10


@pytest.mark.parametrize(
    ("content", "setting", "times"),
    [
        (lambda: {"model": {"net": STATE, "ema": doubled()}}, "bridge.weights=ema", 2),
        (lambda: {"model": STATE, "ema": doubled()}, "bridge.weights=ema", 2),
        (lambda: {"generator": STATE, "critic": doubled()}, "bridge.role=fake_score", 2),
        (lambda: {"model": {"net": STATE, "fake_score": doubled()}}, "bridge.role=fake_score", 2),
        (lambda: {"net": STATE, "fake_score": doubled()}, "bridge.role=student", 1),
    ],
)
def test_a_foreign_checkpoint_gives_what_the_manifest_says(
    tmp_path: Path, content: Callable[[], object], setting: str, times: int
) -> None:
    torch.save(content(), tmp_path / "x.pt")
    artifact = run_stage("bridge", KD, tmp_path / "b", setting, checkpoint=tmp_path / "x.pt")
    wanted = STATE if times == 1 else doubled()
    assert equal(dict(student_state(artifact, "raw")), wanted)
    name, _, value = setting.removeprefix("bridge.").partition("=")
    assert artifact.manifest.facts[name] == value


def test_what_is_not_in_a_foreign_checkpoint_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    torch.save({"model": {"net": STATE}}, tmp_path / "x.pt")
    with pytest.raises(BadInput, match=r"wanted averaged weights of one student, found model\.net"):
        run_stage("bridge", KD, tmp_path / "b", "bridge.weights=ema", checkpoint=tmp_path / "x.pt")
    assert not (tmp_path / "b").exists()


def doubled() -> dict[str, Tensor]:
    return {name: 2 * value for name, value in STATE.items()}


def test_stage_three_refuses_a_student_of_other_times(
    tmp_path: Path, training: Path, gaussian_conditions: Path
) -> None:
    run_stage("bridge", KD, tmp_path / "b", checkpoint=training)
    inputs = {"conditions": gaussian_conditions, "student": tmp_path / "b"}
    with pytest.raises(BadInput, match="wanted a student with t_list"):
        run_stage("train", SF, tmp_path / "sf", "model.t_list=[0.999,0.5,0]", **inputs)
    assert not (tmp_path / "sf").exists()


@pytest.fixture(scope="module")
def rolled_out(tmp_path_factory: pytest.TempPathFactory, gaussian_conditions: Path) -> dict[str, Path]:
    """A Self-Forcing training of two steps with an `ode` rollout on a noised past, and what the bridge makes of it."""
    root = tmp_path_factory.mktemp("rolled_out")
    short = ("train.steps=2", "train.global_batch=4", "method.critic_warmup=0")
    how = ("method.renoise=ode", "method.context_noise=0.1")
    run_stage("train", SF, root / "training", *short, *how, conditions=gaussian_conditions)
    run_stage("bridge", SF, root / "weights", checkpoint=root / "training")
    return {"training": root / "training", "weights": root / "weights"}


@pytest.mark.parametrize("kind", ["training", "weights"])
def test_how_a_student_was_rolled_out_travels(rolled_out: dict[str, Path], kind: str) -> None:
    facts = open_artifact(str(rolled_out[kind]), kind).manifest.facts
    assert (facts["renoise"], facts["context_noise"]) == ("ode", 0.1)


def test_a_regressed_student_says_nothing_of_a_rollout(training: Path) -> None:
    assert "renoise" not in open_artifact(str(training), "training").manifest.facts


@pytest.mark.parametrize("kind", ["training", "weights"])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((), r"wanted a student of sample\.renoise sde, found ode in its training"),
        (("sample.renoise=ode",), r"wanted a student of sample\.context_noise 0\.0, found 0\.1 in its training"),
    ],
)
def test_a_student_is_sampled_as_it_was_rolled_out_or_not_at_all(
    tmp_path: Path,
    rolled_out: dict[str, Path],
    gaussian_conditions: Path,
    kind: str,
    settings: tuple[str, ...],
    message: str,
) -> None:
    inputs = {"conditions": gaussian_conditions, "student": rolled_out[kind]}
    with pytest.raises(BadInput, match=message):
        sample.check(job_of("sample", SF, tmp_path / "s", *settings, **inputs))
    sample.check(job_of("sample", SF, tmp_path / "s", "sample.renoise=ode", "sample.context_noise=0.1", **inputs))


def test_a_student_that_says_nothing_of_a_rollout_is_sampled_either_way(
    tmp_path: Path, training: Path, gaussian_conditions: Path
) -> None:
    inputs = {"conditions": gaussian_conditions, "student": training}
    sample.check(job_of("sample", KD, tmp_path / "s", "sample.renoise=ode", **inputs))


def test_a_student_in_several_files_is_read_whole(tmp_path: Path) -> None:
    folder = folders.in_several_files(tmp_path)
    writer = begin(str(tmp_path / "b"), "weights", "d" * 64, {})
    for path in (folder / "transformer").iterdir():
        writer.put(f"transformer/{path.name}", path.read_bytes())
    writer.commit({})
    found = student_state(open_artifact(str(tmp_path / "b"), "weights"), "raw")
    assert equal(dict(found), tiny.wan().state_dict())
