"""A student as an input: the weights in a bridge's or a training's artifact, and whether they fit the experiment."""

import json
from collections.abc import Mapping

from torch import Tensor

from fastgen_k8s.artifacts import Artifact
from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments.schema import Model
from fastgen_k8s.networks.foreign import read_weights
from fastgen_k8s.training.checkpoint import load_role

PT, SAFETENSORS, DIFFUSERS = "ode_init.pt", "ode_init.safetensors", "transformer/"
"""Where a bridge puts the weights, by format."""


def check_student(artifact: Artifact, model: Model) -> None:
    """Refuse a student that was made for other times, chunks or latents (BadInput)."""
    wanted = {"t_list": list(model.t_list), "chunk_size": model.chunk_size, "latent": list(model.latent)}
    for name, value in wanted.items():
        found = artifact.fact(name)
        if found != value:
            shown, held = json.dumps(value), json.dumps(found)
            raise BadInput(f"{artifact.uri}: wanted a student with {name} {shown}, found {held}")


def student_state(artifact: Artifact, weights: str) -> Mapping[str, Tensor]:
    """The student's state dict with diffusers' keys: `raw` or `ema` where a training has both."""
    if artifact.manifest.kind == "training":
        state, _ = load_role(artifact, "student", "ema" if weights == "ema" and artifact.fact("ema") else "raw")
        return state
    for name in (PT, SAFETENSORS):
        if name in artifact.manifest.files:
            return read_weights(artifact.local(name)).state
    folder = artifact.folder(DIFFUSERS)
    return read_weights(folder / "diffusion_pytorch_model.safetensors").state
