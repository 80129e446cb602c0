"""Distil diffusion models into few-step, causal students: from a laptop to a Kubernetes cluster."""

__version__ = "0.1.0"
