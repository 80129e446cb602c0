"""A pipeline on one machine: the plan of a cluster's controller, carried out by TorchX's local scheduler."""

from fastgen_k8s.runner.prepare import Run, describe, prepare
from fastgen_k8s.runner.run import carry_out
from fastgen_k8s.runner.show import screen

__all__ = ["Run", "carry_out", "describe", "prepare", "screen"]
