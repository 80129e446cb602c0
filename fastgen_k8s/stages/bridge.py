"""The bridge from stage 2 to stage 3: a network's weights out of a training checkpoint, all of them or none."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue
from torch import Tensor

from fastgen_k8s.artifacts import Artifact, Manifest, Writer
from fastgen_k8s.artifacts.facts import TrainingFacts, WeightsFacts
from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.folder import WEIGHTS
from fastgen_k8s.networks.foreign import read_weights
from fastgen_k8s.networks.load import architecture, check_weights, transformer_config
from fastgen_k8s.networks.weights_file import apart, shards, write_pth, write_safetensors
from fastgen_k8s.stages.stage import StageJob
from fastgen_k8s.stages.student import PT, ROLLOUT, SAFETENSORS, check_student, made_for
from fastgen_k8s.training.checkpoint import load_role


def check(job: StageJob) -> None:
    """Refuse a missing checkpoint, or a training of other times, chunks or latents."""
    artifact = _artifact(job)
    if artifact is None:
        _path(job)
        return
    check_student(artifact, job.experiment.model)
    if job.experiment.bridge.weights == "ema" and not artifact.facts(TrainingFacts).ema:
        raise BadInput(f"{artifact.uri}: wanted averaged weights, found a training without train.ema")


def run(job: StageJob) -> Manifest:
    """Account for every key, shape and value, then write the weights in the wanted format."""
    settings, model = job.experiment.bridge, job.experiment.model
    state, facts = _read(job)
    check_weights(model, state, job.work.inputs["checkpoint"])
    writer = job.begin()
    _write(writer, state, job)
    made = {**made_for(model).said(), "role": settings.role, "weights": settings.weights, **facts}
    return writer.commit(WeightsFacts.parse(made, job.work.output).said())


def _read(job: StageJob) -> tuple[Mapping[str, Tensor], Mapping[str, JsonValue]]:
    settings, artifact = job.experiment.bridge, _artifact(job)
    if artifact is not None:
        state, step = load_role(artifact, settings.role, settings.weights)
        rollout = artifact.facts(TrainingFacts).said(*ROLLOUT)
        return state, {"origin": artifact.manifest.digest, "layout": "training", "step": step, **rollout}
    found = read_weights(
        _path(job),
        role=settings.role,
        average=settings.weights == "ema",
        architecture=architecture(job.experiment.model),
    )
    return found.state, {"origin": job.inputs["checkpoint"], "layout": found.layout, "step": found.step}


def _write(writer: Writer, state: Mapping[str, Tensor], job: StageJob) -> None:
    tensors = apart(state)
    match job.experiment.bridge.format:
        case "pt":
            with writer.file(PT) as path:
                write_pth(tensors, path)
        case "safetensors":
            with writer.file(SAFETENSORS) as path:
                write_safetensors(tensors, path)
        case "diffusers":
            (files, index), [part] = shards(tensors), job.experiment.model.network.parts
            writer.put(f"{part}/config.json", transformer_config(job.experiment.model))
            for name, held in files.items():
                with writer.file(f"{part}/{name}") as path:
                    write_safetensors(held, path)
            if index is not None:
                writer.put(f"{part}/{WEIGHTS}.index.json", index)


def _artifact(job: StageJob) -> Artifact | None:
    if "checkpoint" not in job.work.inputs:
        raise BadInput("a bridge stage wants the input 'checkpoint', found none")
    return job.find("checkpoint")


def _path(job: StageJob) -> Path:
    """The file or DCP folder that the checkpoint is, where no manifest describes it."""
    path = job.weights("checkpoint")
    if path is None:
        raise BadInput(f"{job.work.inputs['checkpoint']}: wanted a training artifact or a checkpoint, found none")
    return path
