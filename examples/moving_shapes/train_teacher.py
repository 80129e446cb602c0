"""Train the demo's teacher and write its folder: `python -m examples.moving_shapes.train_teacher [--to DIR]`.

Clips are drawn as they are needed, so there is no data set. About 13 minutes of one CPU core; set OMP_NUM_THREADS=1.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from examples.moving_shapes import codec, text
from examples.moving_shapes.metric import TEACHER, confusion, measure_videos
from examples.moving_shapes.shapes import DIRECTIONS, PROMPTS, draw, kinds
from fastgen_k8s.artifacts import find_artifact
from fastgen_k8s.artifacts.metrics import LOSS
from fastgen_k8s.artifacts.models import add_model
from fastgen_k8s.diffusion.draws import KeyedDraws
from fastgen_k8s.errors import BadInput, FastgenError
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.experiments.schema import Experiment
from fastgen_k8s.methods.method import Batch, Parts, build, for_batch
from fastgen_k8s.methods.trajectory import trajectory
from fastgen_k8s.networks.by_kind import Codec, load_codec, load_text_encoder
from fastgen_k8s.networks.load import build_student, build_teacher, save_transformer
from fastgen_k8s.training.loop import Batches, StepReport, train
from fastgen_k8s.training.state import TrainingState, start

FIRST_STEPS = 1000
FAVOURED = {"left": 0.06, "right": 0.44, "up": 0.06, "down": 0.44}
"""How often each direction is drawn in the first steps.

From the start all four alike, the sign of the direction stays at chance for thousands of steps while colour, shape and
axis are perfect: the two signs pull the same weights in opposite ways until one of them leads.
"""


def chances(step: int) -> Tensor:
    """The probability of each direction at a step [4]."""
    if step <= FIRST_STEPS:
        return torch.tensor([FAVOURED[name] for name in DIRECTIONS], dtype=torch.float64)
    return torch.full((len(DIRECTIONS),), 1 / len(DIRECTIONS), dtype=torch.float64)


def drawn(draws: KeyedDraws) -> tuple[Tensor, Tensor]:
    """Prompts [B] and clips [B, 3, F, H, W] of a step's slots: colour, shape and place uniform, direction by chance."""
    ends = chances(draws.step).cumsum(0)
    direction = torch.searchsorted(ends, draws.uniform("direction"), right=True).clamp(max=len(DIRECTIONS) - 1)
    look = draws.integer("look", len(PROMPTS) // len(DIRECTIONS))
    prompt = look * len(DIRECTIONS) + direction
    return prompt, draw(kinds(PROMPTS)[prompt], draws.uniform("place", (2,)).float())


def batches(experiment: Experiment, encoded: Tensor, clips: Codec) -> Batches:
    """Batches of freshly drawn clips, with the encoding [L, D] of each one's prompt."""

    def batch(step: int, slots: Sequence[int]) -> Batch:
        prompt, video = drawn(KeyedDraws(experiment.train.seed, step, slots))
        return Batch(condition={"text": encoded[prompt]}, x0=clips.encode(video))

    return batch


class Progress:
    """A line every hundred steps."""

    def __init__(self, steps: int) -> None:
        self.steps, self.losses = steps, list[float]()

    def flags(self) -> Sequence[bool]:
        """Nothing to tell other ranks: there are none."""
        return ()

    def after(self, state: TrainingState, report: StepReport) -> None:
        """Note the loss."""
        self.losses.append(report.losses[LOSS])
        if report.step % 100 == 0:
            print(f"step {report.step} of {self.steps}: loss {sum(self.losses[-100:]) / 100:.4f}", flush=True)


def write_transformer(experiment: Experiment, folder: Path) -> None:
    """Train, and write the averaged weights as float16 under `transformer/`."""
    encode, clips = load_text_encoder(experiment.model.text, folder), load_codec(experiment.model.codec, folder)
    assert clips is not None
    student, empty = build_student(experiment.model, None), encode([""])
    parts = Parts(student, experiment.model, None, empty, empty, torch.device("cpu"))
    method = build(experiment.method, parts, experiment.train.ema)
    state = start(method, experiment.train, experiment.optimisation)
    source = batches(experiment, encode(PROMPTS)["text"], clips)
    train(method, state, experiment.train, source, watch=Progress(experiment.train.steps))
    student.load_state_dict(state.averages["student"].means)
    save_transformer(student.half(), folder / "transformer")


def examine(experiment: Experiment, folder: Path, clips_per_prompt: int = 2) -> None:
    """Print what guided samples show, and which direction was made for which: an average hides a wrong sign."""
    encode, clips = load_text_encoder(experiment.model.text, folder), load_codec(experiment.model.codec, folder)
    assert clips is not None
    prompts = list(PROMPTS) * clips_per_prompt
    eps = KeyedDraws(1, 0, range(len(prompts))).normal("examine", experiment.model.latent)
    negative = for_batch(encode([""]), len(prompts))
    teacher = build_teacher(experiment.model, folder)
    _, latent = trajectory(teacher, eps, encode(prompts), negative, experiment.model, experiment.pairs)
    videos = clips.decode(latent)
    print({name: round(value, 3) for name, value in measure_videos(videos, prompts).items()})
    print("directions, wanted by rows and seen by columns:", ", ".join(DIRECTIONS))
    print(confusion(videos, prompts))


def main(words: Sequence[str]) -> None:
    """Train with the settings of `moving_shapes/teacher`, changed by the given ones."""
    parser = argparse.ArgumentParser(description="Train the demo's teacher.")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="changes of moving_shapes/teacher")
    parser.add_argument("--to", default=str(TEACHER), metavar="DIR", help="a new place; default: the committed one")
    asked = parser.parse_args(words)
    experiment = get_experiment("moving_shapes/teacher").override(*asked.settings)
    if find_artifact(asked.to) is not None:
        raise BadInput(f"{asked.to}: wanted a place for a new teacher, found one; remove it first")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        codec.write(folder)
        text.write(folder)
        write_transformer(experiment, folder)
        examine(experiment, folder)
        print(f"teacher {add_model(folder, asked.to).digest[:16]} in {asked.to}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except FastgenError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.code)
