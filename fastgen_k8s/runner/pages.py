"""A stable path to the newest report: ROOT/report/index.html."""

from pathlib import Path

from fastgen_k8s.artifacts import find_artifact
from fastgen_k8s.pipeline.resolve import Resolved


def publish(report: Resolved) -> None:
    """Links to the newest report's files, at a path that does not change: ROOT/report/index.html."""
    artifact, folder = find_artifact(report.output), Path(report.output).parent
    for name in artifact.manifest.files if artifact else ():
        if "/" not in name:
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(Path(Path(report.output).name) / name)
