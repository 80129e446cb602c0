"""A stable path to the newest report: ROOT/report/index.html."""

import os
from collections.abc import Iterable
from pathlib import Path

from fastgen_k8s.artifacts import find_artifact
from fastgen_k8s.pipeline.resolve import Resolved

PAGE = "index.html"


def publish(report: Resolved) -> None:
    """Links to the newest report's files, beside its folder."""
    artifact, place = find_artifact(report.output), Path(report.output)
    for name in artifact.manifest.files if artifact else ():
        if "/" not in name:
            (place.parent / name).unlink(missing_ok=True)
            (place.parent / name).symlink_to(Path(place.name) / name)


def pages(stages: Iterable[Resolved]) -> list[str]:
    """Where the reports among some stages can be opened, as seen from here."""
    found = [Path(stage.output).parent / PAGE for stage in stages if stage.work.kind == "report"]
    return [os.path.relpath(page) for page in found if page.exists()]
