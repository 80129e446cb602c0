"""What a training refuses before it starts, and what it commits."""

from pathlib import Path

import pytest
import torch
from pydantic import JsonValue
from torch import Tensor

from fastgen_k8s.artifacts import Artifact, begin, read, store_at
from fastgen_k8s.artifacts.manifest import content_digest
from fastgen_k8s.artifacts.metrics import read_metrics
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.networks.pth import to_pth
from fastgen_k8s.stages.assembly import check_inputs
from fastgen_k8s.training.checkpoint import load_role
from tests.conftest import job_of, run_stage

KD = "closed_form/gaussian_kd"
SHORT = ("train.steps=4", "train.global_batch=4")
STILL = ("train.steps=2", "train.global_batch=4", "optimisation.student={lr: 1.0e-30, weight_decay: 0}")


@pytest.fixture(scope="module")
def pairs(gaussian_conditions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few pairs of the Gaussian task."""
    output = tmp_path_factory.mktemp("pairs") / "pairs"
    few = ("pairs.samples_per_prompt=4", "pairs.block_size=8", "pairs.solver_steps=8")
    run_stage("pairs", KD, output, *few, conditions=gaussian_conditions)
    return output


@pytest.fixture(scope="module")
def trained(gaussian_conditions: Path, pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A short training with an average and validation samples."""
    output = tmp_path_factory.mktemp("train") / "kd"
    more = ("train.ema={decay: 0.9, start: 0}", "train.validation={every: 2, samples: 3}")
    return run_stage("train", KD, output, *SHORT, *more, conditions=gaussian_conditions, pairs=pairs)


def test_facts_say_what_later_stages_rely_on(trained: Artifact) -> None:
    assert trained.manifest.facts == {
        "method": "regression",
        "roles": ["student"],
        "steps": 4,
        "step": 4,
        "ema": True,
        "t_list": [0.999, 0.937, 0.833, 0.624, 0.0],
        "chunk_size": 2,
        "latent": [2, 6, 1, 1],
        "seed": 0,
    }


def test_the_artifact_holds_the_last_checkpoint_and_the_metrics(trained: Artifact) -> None:
    kinds = sorted(
        {name.partition("-")[0] if name.startswith("metrics") else name[-7:] for name in trained.manifest.files}
    )
    assert kinds == [".distcp", "etadata", "metrics"]


def test_the_last_step_is_in_the_metrics(trained: Artifact) -> None:
    assert read_metrics(trained.store)[-1]["step"] == 4


def test_the_average_differs_from_the_weights(trained: Artifact) -> None:
    raw, ema = (load_role(trained, "student", kind)[0] for kind in ("raw", "ema"))
    assert raw.keys() == ema.keys()
    assert not torch.equal(raw["proj_out.weight"], ema["proj_out.weight"])


def test_validation_samples_are_kept_at_their_steps(trained: Artifact) -> None:
    assert list(trained.store.keys("validation/")) == ["validation/00000002.pth", "validation/00000004.pth"]


def test_validation_samples_come_from_the_same_draws(gaussian_conditions: Path, pairs: Path, tmp_path: Path) -> None:
    often = "train.validation={every: 1, samples: 3}"
    run_stage("train", KD, tmp_path, *STILL, often, conditions=gaussian_conditions, pairs=pairs)
    first, second = (torch.load(tmp_path / "validation" / f"0000000{step}.pth") for step in (1, 2))
    assert first.shape == (3, 2, 6, 1, 1)
    assert torch.equal(first, second)


def test_validation_samples_are_drawn_as_samples_are(gaussian_conditions: Path, pairs: Path, tmp_path: Path) -> None:
    often, given = "train.validation={every: 2, samples: 3}", {"conditions": gaussian_conditions, "pairs": pairs}
    made: list[Tensor] = []
    for how in ("sample.renoise=sde", "sample.renoise=ode", "sample.context_noise=0.5"):
        run_stage("train", KD, tmp_path / how, *STILL, often, how, **given)
        made.append(torch.load(tmp_path / how / "validation/00000002.pth"))
    assert not torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_progress_says_that_it_has_ended(trained: Artifact) -> None:
    assert b'"step": 4' in read(trained.store, "progress.json")


def test_a_student_goes_on_from_given_weights(
    trained: Artifact, gaussian_conditions: Path, pairs: Path, tmp_path: Path
) -> None:
    given = {"conditions": gaussian_conditions, "pairs": pairs, "student": Path(trained.uri)}
    again = run_stage("train", KD, tmp_path / "again", *STILL, **given)
    before, after = load_role(trained, "student", "raw")[0], load_role(again, "student", "raw")[0]
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("settings", "inputs", "words"),
    [
        ((), {"pairs": None}, "a train stage wants the input 'pairs', found conditions"),
        ((), {"conditions": None}, "a train stage wants the input 'conditions', found pairs"),
        (("model.t_list=[0.999, 0.5, 0]",), {}, r"t_list time 0\.5 is not in the pairs: they hold 0\.999, 0\.937"),
        (("model.latent=[2, 4, 1, 1]",), {}, r"wanted latents of shape \[2, 4, 1, 1\], found \[2, 6, 1, 1\]"),
        (("model.teacher.a=0.8",), {}, "wanted pairs of the teacher"),
        (("model.teacher=null",), {}, "a train stage wants the input 'teacher', found conditions, pairs"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_before_anything_starts(
    settings: tuple[str, ...],
    inputs: dict[str, Path | None],
    words: str,
    gaussian_conditions: Path,
    pairs: Path,
    tmp_path: Path,
) -> None:
    given = {"conditions": gaussian_conditions, "pairs": pairs} | inputs
    job = job_of("train", KD, tmp_path / "out", *settings, **{name: path for name, path in given.items() if path})
    with pytest.raises(BadInput, match=words):
        check_inputs(job)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"t_list": [0.999, 0.0], "chunk_size": 2, "latent": [2, 6, 1, 1]}, r"with t_list \[0\.999, 0\.937"),
        ({"t_list": [0.999, 0.937, 0.833, 0.624, 0.0], "chunk_size": 3, "latent": [2, 6, 1, 1]}, "with chunk_size 2"),
    ],
)
def test_a_student_of_other_times_or_chunks_is_refused(
    facts: dict[str, JsonValue], words: str, gaussian_conditions: Path, pairs: Path, tmp_path: Path
) -> None:
    begin(str(tmp_path / "student"), "weights", "d" * 64, {}).commit(facts)
    given = {"conditions": gaussian_conditions, "pairs": pairs, "student": tmp_path / "student"}
    with pytest.raises(BadInput, match=f"wanted a student {words}"):
        check_inputs(job_of("train", KD, tmp_path / "out", **given))


def test_pairs_of_another_teacher_with_weights_are_refused(
    trained: Artifact, gaussian_conditions: Path, pairs: Path, tmp_path: Path
) -> None:
    begin(str(tmp_path / "teacher"), "model", content_digest({}), {}).commit({})
    given = {"conditions": gaussian_conditions, "pairs": pairs, "teacher": tmp_path / "teacher"}
    job = job_of("train", KD, tmp_path / "out", "model.teacher=null", student=Path(trained.uri), **given)
    with pytest.raises(BadInput, match=f"wanted pairs of the teacher {content_digest({})[:16]}"):
        check_inputs(job)


def test_a_regression_may_start_from_a_student_instead_of_a_teacher(
    trained: Artifact, gaussian_conditions: Path, pairs: Path, tmp_path: Path
) -> None:
    given = {"conditions": gaussian_conditions, "pairs": pairs, "student": Path(trained.uri)}
    check_inputs(job_of("train", KD, tmp_path / "out", "model.teacher=null", **given))


def test_a_fake_score_is_no_student(trained: Artifact, gaussian_conditions: Path, pairs: Path, tmp_path: Path) -> None:
    begin(str(tmp_path / "b"), "weights", "d" * 64, {}).commit({**trained.manifest.facts, "role": "fake_score"})
    given = {"conditions": gaussian_conditions, "pairs": pairs, "student": tmp_path / "b"}
    with pytest.raises(BadInput, match="wanted the weights of a student, found those of a fake_score"):
        check_inputs(job_of("train", KD, tmp_path / "out", **given))


def test_a_file_of_weights_of_another_architecture_is_refused(
    gaussian_conditions: Path, pairs: Path, tmp_path: Path
) -> None:
    (tmp_path / "student.pt").write_bytes(to_pth({"blocks.0.weight": torch.zeros(2)}))
    given = {"conditions": gaussian_conditions, "pairs": pairs, "student": tmp_path / "student.pt"}
    with pytest.raises(BadInput, match=r"student\.pt"):
        run_stage("train", KD, tmp_path / "out", *SHORT, **given)
    assert not store_at(str(tmp_path / "out")).keys()


def test_videos_as_real_clips_are_refused_until_there_are_any(gaussian_conditions: Path, tmp_path: Path) -> None:
    gan = "method.gan={weight: 0.1, blocks: [0], real: videos}"
    job = job_of("train", "closed_form/gaussian_sf", tmp_path / "out", gan, conditions=gaussian_conditions)
    with pytest.raises(Misdescribed, match=r"method\.gan\.real: wanted 'pairs', found 'videos'"):
        check_inputs(job)
