"""Encode: prompts become a conditions artifact.

torchx run -s local_cwd components/encode.py --prompts prompts.txt --output runs/encode
"""
# pyright: reportMissingTypeStubs=false

from typing import Annotated

from torchx import specs

from fastgen_k8s.launch.component import default, made, stage_app
from fastgen_k8s.pipeline.negative import with_negative


def encode(
    *overrides: str,
    prompts: str = default("encode", "prompts", "examples/moving_shapes/prompts.txt"),
    teacher: str = default("encode", "teacher", "examples/moving_shapes/teacher"),
    experiment: str = default("encode", "experiment", "moving_shapes/kd_causal"),
    negative_prompt_file: Annotated[str, "--negative-prompt-file"] = default("encode", "negative_prompt_file", ""),
    output: str = default("encode", "output", made("encode")),
    resource: str = default("encode", "resource", "cpu_small"),
    pool: str = default("encode", "pool", ""),
    image: str = default("encode", "image", ""),
) -> specs.AppDef:
    """Encode prompts, the negative prompt and the empty prompt.

    Args:
        overrides: settings of the experiment, key=value
        prompts: a file, .txt with a prompt a line, .json, .jsonl, .csv or .tsv
        teacher: the model artifact whose text encoder is used
        experiment: a name from `fastgen-k8s experiments`
        negative_prompt_file: a file with the negative prompt; none where the experiment or an override says it
        output: where the artifact goes
        resource: what the node offers
        pool: the nodes it runs on, by their label (clusters only)
        image: what its containers run (clusters and local_docker)
    """
    inputs = {"prompts": prompts, "teacher": teacher}
    return stage_app(
        "encode",
        experiment,
        with_negative(overrides, negative_prompt_file),
        inputs,
        output,
        {"resource": resource, "pool": pool or None},
        image=image,
    )
