"""Stage 3: Self-Forcing, the student learns on its own rollouts.

torchx run -s local_cwd components/stage3.py --student runs/bridge --output runs/stage3
"""
# pyright: reportMissingTypeStubs=false

from torchx import specs

from fastgen_k8s.launch.component import default, default_count, made, stage_app


def stage3(
    *overrides: str,
    student: str = default("stage3", "student", made("bridge")),
    conditions: str = default("stage3", "conditions", made("encode")),
    teacher: str = default("stage3", "teacher", "examples/moving_shapes/teacher"),
    pairs: str = default("stage3", "pairs", ""),
    experiment: str = default("stage3", "experiment", "moving_shapes/sf"),
    output: str = default("stage3", "output", made("stage3")),
    nodes: str = default("stage3", "nodes", "1"),
    processes: int = default_count("stage3", "processes", "1"),
    micro_batch: int = default_count("stage3", "micro_batch", "0"),
    save_every: int = default_count("stage3", "save_every", "100"),
    log_every: int = default_count("stage3", "log_every", "10"),
    collective_timeout: int = default_count("stage3", "collective_timeout", "60"),
    resource: str = default("stage3", "resource", "cpu_small"),
    grace: int = default_count("stage3", "grace", "60"),
    pool: str = default("stage3", "pool", ""),
    image: str = default("stage3", "image", ""),
) -> specs.AppDef:
    """Match the student's rollouts to the teacher's distribution.

    Args:
        overrides: settings of the experiment, key=value
        student: the artifact of the bridge
        conditions: the artifact of encode
        teacher: the model artifact that is the real score, and that the fake score starts from
        pairs: the artifact of stage 1, where a GAN term takes real samples from it
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
    inputs = {"student": student, "conditions": conditions, "teacher": teacher} | ({"pairs": pairs} if pairs else {})
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
