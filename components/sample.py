"""Sample: draw clips from a student, chunk by chunk.

torchx run -s local_cwd components/sample.py --student runs/stage3 --output runs/sample
"""
# Made by `make components`, from fastgen_k8s/pipeline/kinds.py; a test keeps the two in step.
# pyright: reportMissingTypeStubs=false

from typing import Annotated

from torchx import specs

from fastgen_k8s.launch.component import default, default_count, made, stage_app


def sample(
    *overrides: str,
    student: str = default("sample", "student"),
    conditions: str = default("sample", "conditions"),
    teacher: str = default("sample", "teacher"),
    experiment: str = default("sample", "experiment", "moving_shapes/sf"),
    output: str = default("sample", "output", made("sample")),
    nodes: str = default("sample", "nodes", "1"),
    processes: int = default_count("sample", "processes", "1"),
    micro_batch: Annotated[int, "--micro-batch"] = default_count("sample", "micro_batch", "0"),
    resource: str = default("sample", "resource"),
    pool: str = default("sample", "pool"),
    grace: int = default_count("sample", "grace", "60"),
    log_every: Annotated[int, "--log-every"] = default_count("sample", "log_every", "10"),
    save_every: Annotated[int, "--save-every"] = default_count("sample", "save_every", "100"),
    keep: int = default_count("sample", "keep", "2"),
    trackers: str = default("sample", "trackers", "tensorboard"),
    collective_timeout: Annotated[int, "--collective-timeout"] = default_count("sample", "collective_timeout", "60"),
    image: str = default("sample", "image"),
) -> specs.AppDef:
    """Sample: draw clips from a student, chunk by chunk.

    Args:
        overrides: settings of the experiment, of placement and of execution, key=value
        student: an artifact of kind weights or training; else what stage3 made, if the experiment asks for it
        conditions: an artifact of kind conditions; else what encode made, if the experiment asks for it
        teacher: an artifact of kind model; else examples/moving_shapes/teacher, if the experiment asks for it
        experiment: a name from `fastgen-k8s experiments`
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
        "sample",
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
            "student": (student, made("stage3")),
            "conditions": (conditions, made("encode")),
            "teacher": (teacher, "examples/moving_shapes/teacher"),
        },
    )
