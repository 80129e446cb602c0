"""TorchX's scheduler `kubernetes`, in the place of its own: jobs of Volcano that are elastic and `restricted`.

torchx run -s kubernetes -cfg namespace=fastgen,queue=training components/stage2.py
"""

from fastgen_k8s.launch.scheduler import ClusterScheduler
from fastgen_k8s.launch.volcano import VOLCANO


def create_scheduler(session_name: str, **_: object) -> ClusterScheduler:
    """What TorchX's entry point calls."""
    return ClusterScheduler("kubernetes", session_name, VOLCANO)
