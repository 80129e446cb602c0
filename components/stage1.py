"""Stage 1: ODE pairs, the teacher's trajectories at the student's times.

torchx run -s local_cwd components/stage1.py --conditions runs/encode --output runs/stage1
"""
# Made by `make components`, from fastgen_k8s/pipeline/kinds.py; a test keeps the two in step.
# pyright: reportMissingTypeStubs=false

from typing import Annotated

from torchx import specs

from fastgen_k8s.launch.component import default, default_count, made, stage_app


def stage1(
    *overrides: str,
    conditions: str = default("stage1", "conditions"),
    teacher: str = default("stage1", "teacher"),
    experiment: str = default("stage1", "experiment", "moving_shapes/kd_causal"),
    output: str = default("stage1", "output", made("stage1")),
    nodes: str = default("stage1", "nodes", "1"),
    processes: int = default_count("stage1", "processes", "1"),
    micro_batch: Annotated[int, "--micro-batch"] = default_count("stage1", "micro_batch", "0"),
    resource: str = default("stage1", "resource"),
    pool: str = default("stage1", "pool"),
    grace: int = default_count("stage1", "grace", "60"),
    log_every: Annotated[int, "--log-every"] = default_count("stage1", "log_every", "10"),
    save_every: Annotated[int, "--save-every"] = default_count("stage1", "save_every", "100"),
    keep: int = default_count("stage1", "keep", "2"),
    trackers: str = default("stage1", "trackers", "tensorboard"),
    collective_timeout: Annotated[int, "--collective-timeout"] = default_count("stage1", "collective_timeout", "60"),
    image: str = default("stage1", "image"),
) -> specs.AppDef:
    """Stage 1: ODE pairs, the teacher's trajectories at the student's times.

    Args:
        overrides: settings of the experiment, of placement and of execution, key=value
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
        "pairs",
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
            "conditions": (conditions, made("encode")),
            "teacher": (teacher, "examples/moving_shapes/teacher"),
        },
    )
