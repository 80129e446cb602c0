"""Trainings of ten steps, one of each way to train, and what they came to: the losses that a change of shape must keep.

Bits repeat on one machine with one thread. Two threads, or the kernels of another CPU, differ in the last ones: up to
1.6e-6 of a number after ten steps, with AVX2 in place of AVX-512.
`python -m tests.stages.golden` records them anew, for a change that is meant to alter numbers; its commit says why.
"""

import hashlib
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from fastgen_k8s.artifacts import Artifact, store_at
from fastgen_k8s.artifacts.metrics import read_metrics
from fastgen_k8s.artifacts.models import add_model
from fastgen_k8s.training.checkpoint import load_role
from tests.conftest import run_stage
from tests.networks import folders

RECORD = Path(__file__).with_name("golden.json")
KD, SF = "closed_form/gaussian_kd", "closed_form/gaussian_sf"
TEN = ("train.steps=10", "train.global_batch=4", "train.ema={decay: 0.9, start: 0, ramp: 3}")
QUICK = ("method.student_update_freq=2", "method.critic_warmup=2", "method.health={critic_lag: 1000}")
HEADS = "method.gan={weight: 0.03, blocks: [0, 1], r1_weight: 1.0"
SETTINGS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "KD": (KD, ("method.pick=start",)),
    "KD along a path": (KD, ("method.pick=path",)),
    "CausalKD": (KD, ()),
    "CausalKD on a clean past": ("closed_form/gaussian_tf", ()),
    "Self-Forcing, sde": (SF, QUICK),
    "Self-Forcing, ode": (
        SF,
        (
            *QUICK,
            "method.renoise=ode",
            "method.exit_sampling=random",
            "method.same_step_across_blocks=false",
            "method.context_noise=0.1",
            "method.critic_loss=x0",
        ),
    ),
    "Self-Forcing with a GAN": (SF, (*QUICK, "model.teacher=null", "method.guidance=3", f"{HEADS}}}")),
    "DMD2 with a GAN": (
        SF,
        (*QUICK, "model.teacher=null", "model.chunk_size=null", f"{HEADS}, same_noise: false}}"),
    ),
    "flow matching": (KD, ("method={kind: flow_matching, drop_prompt: 0.3}",)),
    "teacher forcing": (KD, ("method={kind: flow_matching, teacher_forcing: true}",)),
}

Lines = list[dict[str, float]]


def inputs(root: Path) -> dict[str, Path]:
    """What all settings start from: conditions, pairs of the closed form, a teacher with weights and its pairs."""
    (root / "prompts.txt").write_text("turning left\nturning right\n")
    folders.transformer(
        root / "folder",
        patch_size=(1, 1, 1),
        num_attention_heads=8,
        attention_head_dim=8,
        in_channels=2,
        out_channels=2,
        text_dim=2,
        ffn_dim=64,
        num_layers=2,
        rope_max_seq_len=64,
    )
    add_model(root / "folder", str(root / "teacher"))
    few = ("pairs.samples_per_prompt=4", "pairs.block_size=8", "pairs.solver_steps=8")
    conditions, weights = root / "conditions", root / "teacher"
    run_stage("encode", KD, conditions, prompts=root / "prompts.txt")
    run_stage("pairs", KD, root / "pairs", *few, conditions=conditions)
    guided = (*few, "model.teacher=null", "pairs.guidance=3")
    run_stage("pairs", KD, root / "weights-pairs", *guided, conditions=conditions, teacher=weights)
    return {name: root / name for name in ("conditions", "pairs", "teacher", "weights-pairs")}


def series(name: str, given: Mapping[str, Path], output: Path) -> Lines:
    """Every number that a training logs, step by step, and at the end the size of its average."""
    experiment, settings = SETTINGS[name]
    with_weights = "model.teacher=null" in settings
    chosen = {"conditions": given["conditions"], "pairs": given["weights-pairs" if with_weights else "pairs"]}
    if with_weights:
        chosen["teacher"] = given["teacher"]
    trained = run_stage("train", experiment, output, *TEN, *settings, **chosen)
    lines = [{key: float(value) for key, value in line.items() if key != "time"} for line in _lines(output)]
    return [*lines, {"average": _size(trained)}]


def fingerprint() -> str:
    """What this machine makes of the operations that a network is made of: equal bits, equal arithmetic."""
    x = torch.linspace(-2, 2, 4 * 6 * 64).view(4, 6, 64)
    weight = torch.linspace(-1, 1, 64 * 64).sin().view(64, 64)
    heads = x.view(4, 6, 8, 8).transpose(1, 2).requires_grad_()
    made = functional.scaled_dot_product_attention(heads, heads.cos(), heads.sin())
    torch.autograd.backward(made.square().sum())
    found: list[Tensor] = [
        x @ weight,
        functional.linear(x, weight, weight[0]),
        functional.gelu(x, approximate="tanh"),
        functional.silu(x),
        functional.layer_norm(x, (64,)),
        functional.softplus(x),
        x.exp().mean(),
        x.double().sin() @ weight.double(),
        made.detach(),
        heads.grad if heads.grad is not None else x,
    ]
    return hashlib.sha256(b"".join(one.contiguous().numpy().tobytes() for one in found)).hexdigest()


def written(lines: Sequence[Mapping[str, float]]) -> list[dict[str, str]]:
    """The same numbers with all their bits."""
    return [{name: value.hex() for name, value in line.items()} for line in lines]


def recorded() -> dict[str, list[dict[str, str]]]:
    """What each setting came to when it was recorded."""
    return json.loads(RECORD.read_text())["settings"]


def recorded_fingerprint() -> str:
    """The fingerprint of the machine that recorded."""
    return json.loads(RECORD.read_text())["fingerprint"]


def _lines(output: Path) -> list[dict[str, float]]:
    return read_metrics(store_at(str(output)))


def _size(trained: Artifact) -> float:
    state = load_role(trained, "student", "ema")[0]
    return math.fsum(float(value) ** 2 for weight in state.values() for value in weight.flatten())


def _rows(lines: Sequence[Mapping[str, str]]) -> str:
    return ",\n".join(map(json.dumps, lines))


def record() -> None:
    """Write what this machine makes of every setting."""
    with tempfile.TemporaryDirectory() as folder:
        given = inputs(Path(folder))
        made = {name: written(series(name, given, Path(folder) / name)) for name in SETTINGS}
    settings = ",\n".join(f"{json.dumps(name)}: [\n{_rows(lines)}\n]" for name, lines in made.items())
    RECORD.write_text(f'{{"fingerprint": "{fingerprint()}", "settings": {{\n{settings}\n}}}}\n')


if __name__ == "__main__":
    record()
