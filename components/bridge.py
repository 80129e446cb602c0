"""Bridge: from stage 2's checkpoint to the weights that stage 3 starts from.

torchx run -s local_cwd components/bridge.py --checkpoint runs/stage2 --output runs/bridge
"""
# Made by `make components`, from fastgen_k8s/pipeline/kinds.py; a test keeps the two in step.
# pyright: reportMissingTypeStubs=false

from typing import Annotated

from torchx import specs

from fastgen_k8s.launch.component import default, default_count, made, stage_app


def bridge(
    *overrides: str,
    checkpoint: str = default("bridge", "checkpoint"),
    experiment: str = default("bridge", "experiment", "moving_shapes/kd_causal"),
    output: str = default("bridge", "output", made("bridge")),
    nodes: str = "1",
    processes: int = 1,
    micro_batch: Annotated[int, "--micro-batch"] = 0,
    resource: str = default("bridge", "resource"),
    pool: str = default("bridge", "pool"),
    grace: int = default_count("bridge", "grace", "60"),
    log_every: Annotated[int, "--log-every"] = default_count("bridge", "log_every", "10"),
    save_every: Annotated[int, "--save-every"] = default_count("bridge", "save_every", "100"),
    keep: int = default_count("bridge", "keep", "2"),
    trackers: str = default("bridge", "trackers", "tensorboard"),
    collective_timeout: Annotated[int, "--collective-timeout"] = default_count("bridge", "collective_timeout", "60"),
    image: str = default("bridge", "image"),
) -> specs.AppDef:
    """Bridge: from stage 2's checkpoint to the weights that stage 3 starts from.

    Args:
        overrides: settings of the experiment, of placement and of execution, key=value
        checkpoint: an artifact of kind training; else what stage2 made, if the experiment asks for it
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
        "bridge",
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
            "checkpoint": (checkpoint, made("stage2")),
        },
    )
