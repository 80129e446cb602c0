"""Stage 2: KD and CausalKD, a student learns from the teacher's trajectories.

torchx run -s local_cwd components/stage2.py --pairs runs/stage1 --output runs/stage2
"""
# pyright: reportMissingTypeStubs=false

from torchx import specs

from fastgen_k8s.launch.component import default, default_count, made, stage_app


def stage2(
    *overrides: str,
    pairs: str = default("stage2", "pairs", made("stage1")),
    conditions: str = default("stage2", "conditions", made("encode")),
    teacher: str = default("stage2", "teacher", "examples/moving_shapes/teacher"),
    experiment: str = default("stage2", "experiment", "moving_shapes/kd_causal"),
    output: str = default("stage2", "output", made("stage2")),
    nodes: str = default("stage2", "nodes", "1"),
    processes: int = default_count("stage2", "processes", "1"),
    micro_batch: int = default_count("stage2", "micro_batch", "0"),
    save_every: int = default_count("stage2", "save_every", "100"),
    log_every: int = default_count("stage2", "log_every", "10"),
    collective_timeout: int = default_count("stage2", "collective_timeout", "60"),
    resource: str = default("stage2", "resource", "cpu_small"),
    grace: int = default_count("stage2", "grace", "60"),
    pool: str = default("stage2", "pool", ""),
    image: str = default("stage2", "image", ""),
) -> specs.AppDef:
    """Regress the teacher's clips from the states of its trajectories.

    Args:
        overrides: settings of the experiment, key=value
        pairs: the artifact of stage 1
        conditions: the artifact of encode
        teacher: the model artifact that the student starts from
        experiment: a name from `fastgen-k8s experiments`
        output: where the artifact goes
        nodes: how many agents work together, a number or min:max
        processes: worker processes of each agent
        micro_batch: samples a process computes at once; 0 is its whole share
        save_every: steps between two checkpoints; 0 is at the end only
        log_every: steps between two lines of the log
        collective_timeout: seconds after which a silent peer counts as lost
        resource: what a node offers
        grace: seconds for a step and a checkpoint when asked to stop
        pool: the nodes it runs on, by their label (clusters only)
        image: what its containers run (clusters and local_docker)
    """
    inputs = {"pairs": pairs, "conditions": conditions, "teacher": teacher}
    placement = {
        "nodes": nodes,
        "processes": processes,
        "micro_batch": micro_batch or None,
        "resource": resource,
        "pool": pool or None,
        "grace": grace,
    }
    habits = {"save_every": save_every, "log_every": log_every, "collective_timeout": collective_timeout}
    return stage_app("train", experiment, overrides, inputs, output, placement, habits, image)
