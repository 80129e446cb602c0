"""How far a stage is, in words."""

from fastgen_k8s.artifacts.progress import Progress
from fastgen_k8s.view.rows import span


def shown(progress: Progress) -> str:
    """What is known of it, for people."""
    words = [] if progress.step is None else [f"{progress.step}/{progress.steps}"]
    words += [] if progress.rate is None else [f"{progress.rate:.3g} steps/s"]
    words += [] if progress.eta is None else [f"{_left(progress.eta)} left"]
    words += [] if progress.loss is None else [f"loss {progress.loss:.4g}"]
    return ", ".join(words)


def _left(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else span(seconds)
