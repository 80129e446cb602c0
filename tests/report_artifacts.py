"""Small real artifacts for the tests of the report: drawn clips as pairs and samples, and a training run's metrics."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from examples.moving_shapes.metric import TEACHER
from examples.moving_shapes.shapes import PROMPTS, draw, kinds
from fastgen_k8s.artifacts import begin
from fastgen_k8s.artifacts.manifest import to_json
from fastgen_k8s.artifacts.metrics import merged_file, to_lines
from fastgen_k8s.data.pairs import INDEX, PairIndex
from fastgen_k8s.diffusion.draws import generator
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.networks.by_kind import Codec, load_codec
from fastgen_k8s.stages.clips import clip_files
from fastgen_k8s.stages.stage import StageJob, resolve

MODEL = get_experiment("moving_shapes/sf").model
SHOWN = (PROMPTS[0], PROMPTS[17], PROMPTS[46])


def codec() -> Codec:
    """The demo's."""
    found = load_codec(MODEL.codec, TEACHER)
    assert found is not None
    return found


def latents(prompts: Sequence[str], noise: float = 0.0) -> Tensor:
    """Encoded drawn clips of some prompts, with some noise on top [N, 24, 9, 3, 3]."""
    stream = generator("report", len(prompts))
    clean = codec().encode(draw(kinds(prompts), torch.rand(len(prompts), 2, generator=stream)))
    return clean + noise * torch.randn(clean.shape, generator=stream)


def put_samples(folder: Path, digest: str, noise: float = 0.0) -> str:
    """A samples artifact with two clips of each shown prompt; its URI."""
    prompts = [prompt for prompt in SHOWN for _ in range(2)]
    writer = begin(str(folder), "samples", digest, {"student": "0" * 64})
    for name, data in clip_files(range(len(prompts)), latents(prompts, noise), prompts, codec(), MODEL.fps).items():
        writer.put(name, data)
    writer.commit({"samples": len(prompts), "seed": 1, "trained": True})
    return str(folder)


def put_pairs(folder: Path, digest: str, solver_steps: int = 35) -> str:
    """A pairs artifact with one clip of each shown prompt, without its paths; its URI."""
    index = PairIndex(
        samples=len(SHOWN),
        samples_per_prompt=1,
        block_size=16,
        latent=MODEL.latent,
        times=MODEL.times,
        grid=(0.999, 0.0),
        solver="unipc",
        solver_steps=solver_steps,
        shift=MODEL.shift,
        guidance=3.0,
        dtype="float32",
        seed=1,
        teacher="bidirectional",
        chunk_size=None,
        teacher_digest="0" * 64,
        conditions_digest="1" * 64,
    )
    writer = begin(str(folder), "pairs", digest, {})
    for name, data in clip_files(range(len(SHOWN)), latents(SHOWN), SHOWN, codec(), MODEL.fps).items():
        writer.put(name, data)
    writer.put(INDEX, to_json(index))
    writer.commit({"samples": len(SHOWN), "seed": 1})
    return str(folder)


def put_training(folder: Path, digest: str) -> str:
    """A training artifact of eight logged steps; its URI."""
    lines = [{"step": step, "total": 2.0 / step, "flow": 1.0 / step, "lr/student": 1e-3} for step in range(1, 9)]
    writer = begin(str(folder), "training", digest, {})
    writer.put(merged_file("0001"), to_lines(lines))
    writer.commit({"step": 8, "method": "regression", "seed": 3})
    return str(folder)


def put_history(root: Path) -> None:
    """What a runner would note of two finished stages, and of this report, which runs."""
    stages = {"pairs": {"seconds": 31.5}, "kd": {"seconds": 40.25}, "report": {"seconds": 0.0}}
    (root / "run.json").write_text(json.dumps({"stages": stages}))


def report_job(root: Path, inputs: dict[str, str], *settings: str) -> StageJob:
    """A report of these inputs into root/report/0123."""
    words = ["--kind", "report", "--experiment", "moving_shapes/sf", "--output", str(root / "report/0123")]
    words += [word for setting in settings for word in ("--set", setting)]
    return resolve(words + [word for name, uri in inputs.items() for word in ("--input", f"{name}={uri}")])


def whole_report(root: Path) -> StageJob:
    """A report of everything that a demo run has but a teacher to time."""
    put_history(root)
    return report_job(
        root,
        {
            "kd": put_training(root / "kd", "4" * 64),
            "kd-samples": put_samples(root / "kd-samples", "2" * 64, noise=0.3),
            "sf-samples": put_samples(root / "sf-samples", "3" * 64),
            "teacher-samples": put_pairs(root / "pairs", "5" * 64),
            "untrained": put_samples(root / "untrained", "6" * 64, noise=1.5),
        },
    )
