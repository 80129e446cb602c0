"""A stable place of the newest report: ROOT/report/index.html."""

import os
from collections.abc import Iterable
from pathlib import Path

from fastgen_k8s.artifacts import find_artifact, store_at
from fastgen_k8s.artifacts.address import is_remote
from fastgen_k8s.pipeline.kinds import KINDS
from fastgen_k8s.pipeline.resolve import Resolved

PAGE = "index.html"


def publish(report: Resolved) -> None:
    """Links to the newest report's files, beside its folder; in a bucket, which has no links, copies."""
    artifact, place = find_artifact(report.output), Path(report.output)
    if artifact is not None and is_remote(report.output):
        beside = store_at(report.output.rpartition("/")[0])
        for name in artifact.manifest.files:
            if "/" not in name:
                beside.put(name, artifact.read(name))
        return
    for name in artifact.manifest.files if artifact else ():
        if "/" not in name:
            (place.parent / name).unlink(missing_ok=True)
            (place.parent / name).symlink_to(Path(place.name) / name)


def pages(stages: Iterable[Resolved]) -> list[str]:
    """Where the reports among some stages can be opened, as seen from here."""
    above = [stage.output.rpartition("/")[0] for stage in stages if KINDS[stage.work.kind].shows]
    found = [f"{place}/{PAGE}" for place in above if store_at(place).stat(PAGE) is not None]
    return [page if is_remote(page) else os.path.relpath(page) for page in found]
