"""Report: a self-contained page of what the stages made, and the same numbers as JSON.

torchx run -s local_cwd components/report.py --output runs/report teacher=runs/stage1 student=runs/sample
"""
# pyright: reportMissingTypeStubs=false

from torchx import specs

from fastgen_k8s.launch.component import default, made, stage_app, stages_made
from fastgen_k8s.pipeline.work import parse_inputs


def report(
    *inputs: str,
    experiment: str = default("report", "experiment", "moving_shapes/sf"),
    output: str = default("report", "output", made("report")),
    resource: str = default("report", "resource", "cpu_small"),
    pool: str = default("report", "pool", ""),
    image: str = default("report", "image", ""),
) -> specs.AppDef:
    """Measure and show artifacts side by side.

    Args:
        inputs: name=uri of pairs, samples and training artifacts; none shows what the other components made
        experiment: a name from `fastgen-k8s experiments`
        output: where the page goes
        resource: what the node offers
        pool: the nodes it runs on, by their label (clusters only)
        image: what its containers run (clusters and local_docker)
    """
    shown = parse_inputs(inputs) or stages_made("stage1", "stage2", "stage3", "sample")
    return stage_app("report", experiment, (), shown, output, {"resource": resource, "pool": pool or None}, image=image)
