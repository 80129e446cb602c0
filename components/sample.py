"""Sample: draw clips from a student, chunk by chunk.

torchx run -s local_cwd components/sample.py --student runs/stage3 --output runs/sample
"""
# pyright: reportMissingTypeStubs=false

from torchx import specs

from fastgen_k8s.launch.component import default, default_count, made, stage_app


def sample(
    *overrides: str,
    student: str = default("sample", "student", made("stage3")),
    conditions: str = default("sample", "conditions", made("encode")),
    teacher: str = default("sample", "teacher", "examples/moving_shapes/teacher"),
    experiment: str = default("sample", "experiment", "moving_shapes/sf"),
    output: str = default("sample", "output", made("sample")),
    nodes: str = default("sample", "nodes", "1"),
    processes: int = default_count("sample", "processes", "1"),
    resource: str = default("sample", "resource", "cpu_small"),
    pool: str = default("sample", "pool", ""),
    image: str = default("sample", "image", ""),
) -> specs.AppDef:
    """Draw clips from a student and decode them.

    Args:
        overrides: settings of the experiment, key=value
        student: the artifact of stage 2, of stage 3 or of the bridge
        conditions: the artifact of encode
        teacher: the model artifact whose codec decodes
        experiment: a name from `fastgen-k8s experiments`
        output: where the artifact goes
        nodes: how many agents work together, a number or min:max
        processes: worker processes of each agent
        resource: what a node offers
        pool: the nodes it runs on, by their label (clusters only)
        image: what its containers run (clusters and local_docker)
    """
    inputs = {"student": student, "conditions": conditions, "teacher": teacher}
    placement = {"nodes": nodes, "processes": processes, "resource": resource, "pool": pool or None}
    return stage_app("sample", experiment, overrides, inputs, output, placement, image=image)
