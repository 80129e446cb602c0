"""The script that trains the demo's teacher."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load

from examples.moving_shapes import codec, text
from examples.moving_shapes.metric import TEACHER, measure_videos
from examples.moving_shapes.shapes import DIRECTIONS, PROMPTS
from examples.moving_shapes.train_teacher import FIRST_STEPS, drawn, main, write_transformer
from fastgen_k8s.artifacts import open_artifact
from fastgen_k8s.artifacts.models import add_model
from fastgen_k8s.diffusion.draws import KeyedDraws
from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.networks.by_kind import load_text_encoder
from fastgen_k8s.networks.load import build_teacher

EXPERIMENT = get_experiment("moving_shapes/teacher")


def test_the_first_steps_favour_one_sign_of_each_axis() -> None:
    prompt, _ = drawn(KeyedDraws(0, FIRST_STEPS, range(400)))
    counts = torch.bincount(prompt % len(DIRECTIONS), minlength=4)
    torch.testing.assert_close(counts / 400, torch.tensor([0.06, 0.44, 0.06, 0.44]), atol=0.08, rtol=0)


def test_later_steps_draw_all_directions_alike() -> None:
    prompt, _ = drawn(KeyedDraws(0, FIRST_STEPS + 1, range(400)))
    counts = torch.bincount(prompt % len(DIRECTIONS), minlength=4)
    torch.testing.assert_close(counts / 400, torch.full((4,), 0.25), atol=0.08, rtol=0)


def test_a_drawn_clip_shows_its_prompt() -> None:
    prompt, video = drawn(KeyedDraws(0, 2000, range(16)))
    assert measure_videos(video, [PROMPTS[index] for index in prompt])["all"] == 1


def test_the_same_slot_of_a_step_is_the_same_clip_in_another_batch() -> None:
    whole, part = drawn(KeyedDraws(0, 7, range(8)))[1], drawn(KeyedDraws(0, 7, [5]))[1]
    torch.testing.assert_close(whole[5:6], part, atol=0, rtol=0)


def test_the_text_encoder_tells_all_prompts_apart() -> None:
    encoded = load_text_encoder(EXPERIMENT.model.text, TEACHER)([*PROMPTS, ""])["text"].flatten(1)
    distances = torch.cdist(encoded, encoded) + 1e3 * torch.eye(len(encoded))
    assert distances.min() > 1


def test_the_committed_codec_is_the_one_that_the_script_fits() -> None:
    committed = load((TEACHER / codec.FILE).read_bytes())["basis"]
    overlap = codec.fit_to_clips()["basis"] @ committed.T  # the sign of a direction is the library's choice
    torch.testing.assert_close(overlap.abs(), torch.eye(len(overlap)), atol=1e-3, rtol=0)


def test_the_committed_teacher_is_whole() -> None:
    assert open_artifact(str(TEACHER), "model").folder().samefile(TEACHER)


def test_the_committed_teacher_is_the_experiments_network() -> None:
    assert sum(p.numel() for p in build_teacher(EXPERIMENT.model, TEACHER).parameters()) == 540_024


def test_the_committed_teacher_is_not_overwritten() -> None:
    with pytest.raises(BadInput, match="wanted a place for a new teacher"):
        main([])


@pytest.mark.slow
def test_a_few_steps_make_a_folder_that_loads(tmp_path: Path) -> None:
    codec.write(tmp_path)
    text.write(tmp_path)
    write_transformer(EXPERIMENT.override("train.steps=2", "train.global_batch=2"), tmp_path)
    add_model(tmp_path, str(tmp_path / "model"))
    build_teacher(EXPERIMENT.model, open_artifact(str(tmp_path / "model"), "model").folder())
