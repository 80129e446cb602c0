"""Stage 1: ODE pairs, the teacher's trajectories at the student's times.

torchx run -s local_cwd components/stage1.py --conditions runs/encode --output runs/stage1
"""
# pyright: reportMissingTypeStubs=false

from torchx import specs

from fastgen_k8s.launch.component import default, default_count, made, stage_app


def stage1(
    *overrides: str,
    conditions: str = default("stage1", "conditions", made("encode")),
    teacher: str = default("stage1", "teacher", "examples/moving_shapes/teacher"),
    experiment: str = default("stage1", "experiment", "moving_shapes/kd_causal"),
    output: str = default("stage1", "output", made("stage1")),
    nodes: str = default("stage1", "nodes", "1"),
    processes: int = default_count("stage1", "processes", "1"),
    resource: str = default("stage1", "resource", "cpu_small"),
    pool: str = default("stage1", "pool", ""),
    image: str = default("stage1", "image", ""),
) -> specs.AppDef:
    """Follow the teacher's trajectories; any number of workers gives the same bytes.

    Args:
        overrides: settings of the experiment, key=value
        conditions: the artifact of encode
        teacher: the model artifact whose trajectories are followed
        experiment: a name from `fastgen-k8s experiments`
        output: where the artifact goes
        nodes: how many agents work together, a number or min:max
        processes: worker processes of each agent
        resource: what a node offers
        pool: the nodes it runs on, by their label (clusters only)
        image: what its containers run (clusters and local_docker)
    """
    inputs = {"conditions": conditions, "teacher": teacher}
    placement = {"nodes": nodes, "processes": processes, "resource": resource, "pool": pool or None}
    return stage_app("pairs", experiment, overrides, inputs, output, placement, image=image)
