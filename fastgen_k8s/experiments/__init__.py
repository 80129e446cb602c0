"""The table of experiments: one value per run."""

from fastgen_k8s.config import nearest
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.experiments import closed_form, cosmos_predict2, moving_shapes, wan_t2v
from fastgen_k8s.experiments.schema import Experiment

EXPERIMENTS = {
    experiment.name: experiment
    for module in (closed_form, moving_shapes, wan_t2v, cosmos_predict2)
    for experiment in module.EXPERIMENTS
}


def get_experiment(name: str) -> Experiment:
    """The experiment of that name; Misdescribed with the nearest known name otherwise."""
    if name not in EXPERIMENTS:
        raise Misdescribed(f"unknown experiment {name!r}: {nearest(name, EXPERIMENTS)}")
    return EXPERIMENTS[name]
