"""Report: a self-contained page of what the stages made, and the same numbers as JSON.

torchx run -s local_cwd components/report.py stage1=runs/stage1 --output runs/report
"""
# Made by `make components`, from fastgen_k8s/pipeline/kinds.py; a test keeps the two in step.
# pyright: reportMissingTypeStubs=false

from typing import Annotated

from torchx import specs

from fastgen_k8s.launch.component import default, default_count, made, stage_app


def report(
    *inputs: str,
    experiment: str = default("report", "experiment", "moving_shapes/sf"),
    output: str = default("report", "output", made("report")),
    nodes: str = "1",
    processes: int = 1,
    micro_batch: Annotated[int, "--micro-batch"] = 0,
    resource: str = default("report", "resource"),
    pool: str = default("report", "pool"),
    grace: int = default_count("report", "grace", "60"),
    log_every: Annotated[int, "--log-every"] = default_count("report", "log_every", "10"),
    save_every: Annotated[int, "--save-every"] = default_count("report", "save_every", "100"),
    keep: int = default_count("report", "keep", "2"),
    trackers: str = default("report", "trackers", "tensorboard"),
    collective_timeout: Annotated[int, "--collective-timeout"] = default_count("report", "collective_timeout", "60"),
    image: str = default("report", "image"),
) -> specs.AppDef:
    """Report: a self-contained page of what the stages made, and the same numbers as JSON.

    Args:
        inputs: name=uri of what is shown, else what the other components made; and settings, as of any stage
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
        "report",
        experiment,
        inputs,
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
            "stage1": ("", made("stage1")),
            "stage2": ("", made("stage2")),
            "stage3": ("", made("stage3")),
            "sample": ("", made("sample")),
        },
    )
