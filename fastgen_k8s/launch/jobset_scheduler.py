"""TorchX's scheduler `jobset`.

torchx run -s jobset -cfg namespace=fastgen,queue=training components/stage2.py
"""

from fastgen_k8s.launch.jobset import JOBSET
from fastgen_k8s.launch.scheduler import ClusterScheduler


def create_scheduler(session_name: str, **_: object) -> ClusterScheduler:
    """What TorchX's entry point calls."""
    return ClusterScheduler("jobset", session_name, JOBSET)
