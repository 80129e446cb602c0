"""The recipe on Cosmos-Predict2.5, stage by stage, with every component real and tiny."""

import shutil
from pathlib import Path

import pytest

from fastgen_k8s.artifacts import Artifact
from fastgen_k8s.artifacts.models import add_model
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.networks.load import build_student, save_transformer
from fastgen_k8s.pipeline.kinds import Kind
from tests.conftest import run_stage
from tests.networks import folders, qwen_folder

KD, SF = "cosmos_predict2/kd_causal", "cosmos_predict2/sf"
SMALL = (
    "model.network.num_layers=2",
    "model.network.num_attention_heads=2",
    "model.network.attention_head_dim=12",
    "model.network.adaln_lora_dim=4",
    "model.network.text_embed_dim=8",
    f"model.network.crossattn_proj_in_channels={qwen_folder.NUMBERS}",
    "model.text.length=32",
    "conditions.guardrail=false",
    "model.latent=[4, 4, 2, 4]",
    "model.chunk_size=2",
    "pairs.solver_steps=8",
    "train.steps=2",
    "train.global_batch=2",
)
GAN = ("method.gan={weight: 0.003, blocks: [0, 1]}", "method.student_update_freq=2")


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """Everything from prompts to clips."""
    root = tmp_path_factory.mktemp("cosmos")
    (root / "prompts.txt").write_text("a red disc moving left\na blue disc moving right\n")
    parts, teacher = folders.vae(qwen_folder.qwen(root / "parts")), root / "teacher"
    shutil.rmtree(parts / "transformer")
    save_transformer(build_student(get_experiment(KD).override(*SMALL).model, None), parts / "transformer")
    add_model(parts, str(teacher))

    def run(kind: Kind, name: str, experiment: str, *settings: str, **inputs: Path) -> Artifact:
        return run_stage(kind, experiment, root / name, *SMALL, *settings, **inputs)

    conditions, pairs = root / "conditions", root / "pairs"
    made = {
        "conditions": run("encode", "conditions", KD, prompts=root / "prompts.txt", teacher=teacher),
        "pairs": run("pairs", "pairs", KD, conditions=conditions, teacher=teacher),
        "kd": run("train", "kd", KD, conditions=conditions, pairs=pairs, teacher=teacher),
        "bridge": run("bridge", "bridge", KD, checkpoint=root / "kd"),
    }
    student = {"conditions": conditions, "teacher": teacher, "student": root / "bridge"}
    made["sf"] = run("train", "sf", SF, *GAN, pairs=pairs, **student)
    made["samples"] = run("sample", "samples", SF, *GAN, **student | {"student": root / "sf"})
    return made


def test_conditions_are_stored_as_the_teacher_projects_them(stages: dict[str, Artifact]) -> None:
    stored = next(entry for name, entry in stages["conditions"].manifest.files.items() if name.startswith("prompts/"))
    assert 32 * 8 * 4 <= stored.size < 4 * 32 * 8 * 4  # 32 tokens of 8 numbers, not of what the encoder's layers say


@pytest.mark.parametrize("name", ["pairs", "samples"])
def test_clips_come_with_a_video_each(stages: dict[str, Artifact], name: str) -> None:
    assert sum(file.endswith(".mp4") for file in stages[name].manifest.files) == 2


def test_both_students_are_trained_to_their_last_step(stages: dict[str, Artifact]) -> None:
    assert [stages[name].manifest.facts["steps"] for name in ("kd", "sf")] == [2, 2]
