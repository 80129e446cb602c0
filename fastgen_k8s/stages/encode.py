"""Encode: prompts, the negative prompt and the empty prompt become a conditions artifact."""

import torch

from fastgen_k8s.artifacts import Manifest
from fastgen_k8s.artifacts.facts import ConditionsFacts
from fastgen_k8s.artifacts.single import is_folder
from fastgen_k8s.data.conditions import write_conditions
from fastgen_k8s.data.prompts import read_prompts
from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.by_kind import load_text_encoder
from fastgen_k8s.networks.guardrail import refuse_unsafe
from fastgen_k8s.stages.stage import StageJob, teacher_folder

_BATCH = 32  # prompts encoded together


def check(job: StageJob) -> None:
    """Refuse missing or malformed prompts, and prompts that the encoder cannot take."""
    prompts, text, folder = _prompts(job), job.experiment.model.text, teacher_folder(job)
    if not text.parts:  # what has weights is asked once, by `run`
        load_text_encoder(text, folder)(prompts)


def run(job: StageJob) -> Manifest:
    """Encode every prompt; the only user of a text encoder."""
    prompts = _prompts(job)
    model, negative = job.experiment.model, job.experiment.conditions.negative_prompt
    if job.experiment.conditions.guardrail:
        refuse_unsafe(prompts)
    encode = load_text_encoder(model.text, teacher_folder(job))
    with torch.inference_mode():
        negative_encoded, empty_encoded = encode([negative]), encode([""])
        batches = (encode(prompts[start : start + _BATCH]) for start in range(0, len(prompts), _BATCH))
        writer = job.begin()
        write_conditions(writer, prompts, batches, negative_encoded, empty_encoded)
    return writer.commit(ConditionsFacts(prompts=len(prompts), negative_prompt=negative).said())


def _prompts(job: StageJob) -> list[str]:
    uri = job.work.inputs.get("prompts")
    if uri is None:
        raise BadInput("an encode stage wants the input 'prompts', a file of them, found none")
    path = job.file("prompts")
    if path is None:
        raise BadInput(f"{uri}: wanted a file of prompts, found {'a folder' if is_folder(uri) else 'none'}")
    return read_prompts(path, uri.removeprefix("file://"))
