"""Bridge: from stage 2's checkpoint to the weights that stage 3 starts from.

torchx run -s local_cwd components/bridge.py --checkpoint runs/stage2 --output runs/bridge
"""
# pyright: reportMissingTypeStubs=false

from torchx import specs

from fastgen_k8s.launch.component import default, made, stage_app


def bridge(
    *overrides: str,
    checkpoint: str = default("bridge", "checkpoint", made("stage2")),
    experiment: str = default("bridge", "experiment", "moving_shapes/kd_causal"),
    output: str = default("bridge", "output", made("bridge")),
    resource: str = default("bridge", "resource", "cpu_small"),
    pool: str = default("bridge", "pool", ""),
    image: str = default("bridge", "image", ""),
) -> specs.AppDef:
    """Take the student out of a training checkpoint.

    Args:
        overrides: settings of the experiment, key=value
        checkpoint: the artifact of stage 2, a checkpoint file, or a DCP folder
        experiment: a name from `fastgen-k8s experiments`
        output: where the artifact goes
        resource: what the node offers
        pool: the nodes it runs on, by their label (clusters only)
        image: what its containers run (clusters and local_docker)
    """
    return stage_app(
        "bridge",
        experiment,
        overrides,
        {"checkpoint": checkpoint},
        output,
        {"resource": resource, "pool": pool or None},
        image=image,
    )
