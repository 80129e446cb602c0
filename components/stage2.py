"""Stage 2: KD and CausalKD, a student learns from the teacher's trajectories.

torchx run -s local_cwd components/stage2.py --pairs runs/stage1 --output runs/stage2
"""
# Made by `make components`, from fastgen_k8s/pipeline/kinds.py; a test keeps the two in step.
# pyright: reportMissingTypeStubs=false

from typing import Annotated

from torchx import specs

from fastgen_k8s.launch.component import default, default_count, made, stage_app


def stage2(
    *overrides: str,
    pairs: str = default("stage2", "pairs"),
    conditions: str = default("stage2", "conditions"),
    teacher: str = default("stage2", "teacher"),
    student: str = default("stage2", "student"),
    experiment: str = default("stage2", "experiment", "moving_shapes/kd_causal"),
    output: str = default("stage2", "output", made("stage2")),
    nodes: str = default("stage2", "nodes", "1"),
    processes: int = default_count("stage2", "processes", "1"),
    micro_batch: Annotated[int, "--micro-batch"] = default_count("stage2", "micro_batch", "0"),
    resource: str = default("stage2", "resource"),
    pool: str = default("stage2", "pool"),
    grace: int = default_count("stage2", "grace", "60"),
    log_every: Annotated[int, "--log-every"] = default_count("stage2", "log_every", "10"),
    save_every: Annotated[int, "--save-every"] = default_count("stage2", "save_every", "100"),
    keep: int = default_count("stage2", "keep", "2"),
    trackers: str = default("stage2", "trackers", "tensorboard"),
    collective_timeout: Annotated[int, "--collective-timeout"] = default_count("stage2", "collective_timeout", "60"),
    image: str = default("stage2", "image"),
) -> specs.AppDef:
    """Stage 2: KD and CausalKD, a student learns from the teacher's trajectories.

    Args:
        overrides: settings of the experiment, of placement and of execution, key=value
        pairs: an artifact of kind pairs; else what stage1 made, if the experiment asks for it
        conditions: an artifact of kind conditions; else what encode made, if the experiment asks for it
        teacher: an artifact of kind model; else examples/moving_shapes/teacher, if the experiment asks for it
        student: an artifact of kind weights or training; else what bridge made, if the experiment asks for it
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
        "train",
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
            "pairs": (pairs, made("stage1")),
            "conditions": (conditions, made("encode")),
            "teacher": (teacher, "examples/moving_shapes/teacher"),
            "student": (student, made("bridge")),
        },
    )
