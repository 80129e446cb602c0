"""Encode: prompts become a conditions artifact.

torchx run -s local_cwd components/encode.py --prompts examples/moving_shapes/prompts.txt --output runs/encode
"""
# Made by `make components`, from fastgen_k8s/pipeline/kinds.py; a test keeps the two in step.
# pyright: reportMissingTypeStubs=false

from typing import Annotated

from torchx import specs

from fastgen_k8s.launch.component import default, default_count, made, stage_app


def encode(
    *overrides: str,
    prompts: str = default("encode", "prompts"),
    teacher: str = default("encode", "teacher"),
    experiment: str = default("encode", "experiment", "moving_shapes/kd_causal"),
    negative_prompt_file: Annotated[str, "--negative-prompt-file"] = default("encode", "negative_prompt_file"),
    output: str = default("encode", "output", made("encode")),
    nodes: str = "1",
    processes: int = 1,
    micro_batch: Annotated[int, "--micro-batch"] = 0,
    resource: str = default("encode", "resource"),
    pool: str = default("encode", "pool"),
    grace: int = default_count("encode", "grace", "60"),
    log_every: Annotated[int, "--log-every"] = default_count("encode", "log_every", "10"),
    save_every: Annotated[int, "--save-every"] = default_count("encode", "save_every", "100"),
    keep: int = default_count("encode", "keep", "2"),
    trackers: str = default("encode", "trackers", "tensorboard"),
    collective_timeout: Annotated[int, "--collective-timeout"] = default_count("encode", "collective_timeout", "60"),
    image: str = default("encode", "image"),
) -> specs.AppDef:
    """Encode: prompts become a conditions artifact.

    Args:
        overrides: settings of the experiment, of placement and of execution, key=value
        prompts: a file; else examples/moving_shapes/prompts.txt, if the experiment asks for it
        teacher: an artifact of kind model; else examples/moving_shapes/teacher, if the experiment asks for it
        experiment: a name from `fastgen-k8s experiments`
        negative_prompt_file: a file with the negative prompt
        output: where the artifact goes
        nodes: how many agents work together: a number, or MIN:MAX
        processes: worker processes of each agent
        micro_batch: samples that a process computes at once; else its whole share
        resource: what a node offers, by name
        pool: the nodes that it runs on, by their label; of a cluster
        grace: seconds for a step and a checkpoint when asked to stop
        log_every: steps between two logged losses
        save_every: steps between two checkpoints; 0: at the end only
        keep: checkpoints that are kept
        trackers: tensorboard, wandb or both
        collective_timeout: seconds after which a silent peer counts as lost
        image: what its containers run; clusters and local_docker
    """
    return stage_app(
        "encode",
        experiment,
        overrides,
        output,
        image,
        flags={
            "nodes": nodes,
            "processes": processes,
            "micro_batch": micro_batch,
            "resource": resource,
            "pool": pool,
            "grace": grace,
            "log_every": log_every,
            "save_every": save_every,
            "keep": keep,
            "trackers": trackers,
            "collective_timeout": collective_timeout,
        },
        inputs={
            "prompts": (prompts, "examples/moving_shapes/prompts.txt"),
            "teacher": (teacher, "examples/moving_shapes/teacher"),
        },
        negative_prompt_file=negative_prompt_file,
    )
