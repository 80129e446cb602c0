"""A student as an input: the weights in a bridge's or a training's artifact, and whether they fit the experiment."""

import json
from collections.abc import Mapping

from pydantic import JsonValue
from torch import Tensor

from fastgen_k8s.artifacts import Artifact
from fastgen_k8s.artifacts.facts import StudentFacts, TrainingFacts
from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments.method import MethodSettings, Rollout
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.experiments.schema import Sample
from fastgen_k8s.networks.folder import read_component
from fastgen_k8s.networks.foreign import read_weights
from fastgen_k8s.training.checkpoint import load_role

PT, SAFETENSORS = "ode_init.pt", "ode_init.safetensors"
"""Where a bridge puts the weights, by format; those of a diffusers folder go below the component's name."""
ROLLOUT = tuple(Rollout.model_fields)
"""How a student was rolled out in its training, as recorded, and how a sample stage does it."""


def check_student(artifact: Artifact, model: Model) -> None:
    """Refuse another role, and a student that was made for other times, chunks or latents (BadInput)."""
    facts = artifact.facts(StudentFacts)
    if facts.role != "student":
        raise BadInput(f"{artifact.uri}: wanted the weights of a student, found those of a {facts.role}")
    held = facts.said()
    for name, value in made_for(model).said().items():
        if held[name] != value:
            shown, found = json.dumps(value), json.dumps(held[name])
            raise BadInput(f"{artifact.uri}: wanted a student with {name} {shown}, found {found}")


def made_for(model: Model) -> StudentFacts:
    """What a network of a model is made for."""
    return StudentFacts(t_list=model.t_list, chunk_size=model.chunk_size, latent=model.latent)


def rollout_facts(method: MethodSettings) -> dict[str, JsonValue]:
    """What a training records of its student's rollout: nothing where the student is not rolled out."""
    return {name: getattr(method, name) for name in ROLLOUT} if isinstance(method, Rollout) else {}


def check_rollout(artifact: Artifact, sample: Sample) -> None:
    """Refuse a student that learnt from another rollout than the one that samples it (BadInput)."""
    facts = artifact.facts(StudentFacts)
    for name in ROLLOUT:
        wanted, found = getattr(sample, name), getattr(facts, name)
        if found not in (None, wanted):
            raise BadInput(f"{artifact.uri}: wanted a student of sample.{name} {wanted}, found {found} in its training")


def student_state(artifact: Artifact, weights: str) -> Mapping[str, Tensor]:
    """The student's state dict with diffusers' keys: `raw` or `ema` where a training has both."""
    if artifact.manifest.kind == "training":
        state, _ = load_role(
            artifact, "student", "ema" if weights == "ema" and artifact.facts(TrainingFacts).ema else "raw"
        )
        return state
    for name in (PT, SAFETENSORS):
        if name in artifact.manifest.files:
            return read_weights(artifact.local(name)).state
    settings = next((name for name in artifact.manifest.files if name.endswith("/config.json")), "transformer/")
    return read_component(artifact.folder(settings.removesuffix("config.json")))
