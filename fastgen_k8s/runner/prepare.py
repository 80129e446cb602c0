"""What a person asked for, checked and resolved before anything starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastgen_k8s.artifacts import find_artifact
from fastgen_k8s.artifacts.address import WANTED
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.launch.resources import resource
from fastgen_k8s.pipeline import settings
from fastgen_k8s.pipeline.resolve import Resolved, resolve
from fastgen_k8s.pipeline.spec import Pipeline, read_pipeline
from fastgen_k8s.pipeline.work import check_world
from fastgen_k8s.runner.root import Root


@dataclass(frozen=True)
class Run:
    """What a person asked for: a pipeline below a root, all of it or some stages."""

    name: str
    pipeline: Pipeline
    root: Root
    stages: Mapping[str, Resolved]
    chosen: frozenset[str]
    parallel: int = 1  # stages at once


def prepare(
    file: Path,
    root: str | None,
    changes: Sequence[str] = (),
    first: str | None = None,
    only: str | None = None,
    parallel: int = 1,
) -> Run:
    """Read, change and resolve a pipeline; Misdescribed or BadInput before anything starts."""
    described = read_pipeline(file)
    pipeline = settings.apply(described.spec, changes)
    where = root or pipeline.root
    if where is None:
        raise Misdescribed(f"{file}: wanted a root (--root DIR or {WANTED}), found none")
    place = Root.parse(where)
    stages = resolve(pipeline, place.uri)
    for name, stage in stages.items():
        try:
            check_world(stage.work, stage.stage.placement)
            resource(stage.stage.placement.resource)
        except Misdescribed as error:
            raise Misdescribed(f"stage {name}: {error}") from error
    return Run(described.metadata.name, pipeline, place, stages, _chosen(pipeline, first, only), parallel)


def _chosen(pipeline: Pipeline, first: str | None, only: str | None) -> frozenset[str]:
    names = [stage.name for stage in pipeline.stages]
    if first is not None and only is not None:
        raise Misdescribed(f"wanted --from or --only, found both: {first} and {only}")
    if only is not None:
        return frozenset({pipeline.stage(only).name})
    return frozenset(names if first is None else names[names.index(pipeline.stage(first).name) :])


def describe(run: Run) -> list[tuple[str, str, str]]:
    """Each chosen stage, what a run would do about it, and its output; looks, and starts nothing."""
    return [
        (name, "up to date" if find_artifact(stage.output) else "to do", stage.output)
        for name, stage in run.stages.items()
        if name in run.chosen
    ]
