"""What the runs train on: a closed-form teacher's pairs for stage 2, a tiny Wan teacher with a GAN for stage 3."""

from pathlib import Path

import pytest

from fastgen_k8s.artifacts.models import add_model
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.networks.load import build_student, save_transformer
from tests.conftest import run_stage
from tests.processes.runs import Run

STAGE_2 = ("train.steps=12", "train.global_batch=5", "train.ema={decay: 0.9, start: 0}")
SMALL_TEACHER = (
    "model.teacher=null",
    "model.latent=[2, 4, 1, 1]",
    "model.t_list=[0.999, 0.624, 0]",
    "model.network.num_layers=1",
    "model.network.ffn_dim=32",
)
STAGE_3 = (
    *SMALL_TEACHER,
    "method.guidance=1.5",
    "method.student_update_freq=3",
    "method.critic_warmup=2",
    "method.exit_sampling=random",
    "method.gan={weight: 0.1, blocks: [0]}",
    "train.steps=12",
    "train.global_batch=5",
)
FEW = ("pairs.samples_per_prompt=8", "pairs.block_size=16", "pairs.solver_steps=8")


@pytest.fixture(scope="session")
def stage_2(gaussian_conditions: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """CausalKD on the Gaussian task."""
    root = tmp_path_factory.mktemp("stage2")
    run_stage("pairs", "closed_form/gaussian_kd", root / "pairs", *FEW, conditions=gaussian_conditions)
    inputs = {"conditions": str(gaussian_conditions), "pairs": str(root / "pairs")}
    return Run("closed_form/gaussian_kd", STAGE_2, inputs, root / "run")


@pytest.fixture(scope="session")
def teacher_forcing(stage_2: Run) -> Run:
    """CausalKD on the clean past: its gradient goes through what is written to the cache."""
    return stage_2.to(Path(stage_2.output).parent / "teacher_forcing", experiment="closed_form/gaussian_tf")


@pytest.fixture(scope="session")
def stage_3(gaussian_conditions: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Self-Forcing with a GAN and an average, from a tiny Wan teacher with random weights."""
    root = tmp_path_factory.mktemp("stage3")
    teacherless = get_experiment("closed_form/gaussian_sf").override(*SMALL_TEACHER)
    save_transformer(
        build_student(teacherless.model.override("chunk_size=null"), None), root / "folder" / "transformer"
    )
    add_model(root / "folder", str(root / "teacher"))
    given = {"conditions": gaussian_conditions, "teacher": root / "teacher"}
    run_stage("pairs", "closed_form/gaussian_sf", root / "pairs", *SMALL_TEACHER, *FEW, **given)
    inputs = {name: str(path) for name, path in given.items()} | {"pairs": str(root / "pairs")}
    return Run("closed_form/gaussian_sf", STAGE_3, inputs, root / "run")
