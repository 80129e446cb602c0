"""A pipeline object taken in: parsed, its works resolved, every stage's job rendered once; refused in one line."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from fastgen_k8s.artifacts.address import Address
from fastgen_k8s.artifacts.single import Input
from fastgen_k8s.config import digest
from fastgen_k8s.controller.job import Settings, job
from fastgen_k8s.controller.roots import check_places
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.lifecycle.status import Status
from fastgen_k8s.pipeline.resolve import Frozen, Resolved, resolve
from fastgen_k8s.pipeline.spec import Pipeline

_LONGEST = 65_536  # characters of a spec that a status keeps


@dataclass(frozen=True)
class Accepted:
    """A pipeline that can run."""

    pipeline: Pipeline
    works: str  # digest of what its stages' digests depend on
    stages: Mapping[str, Resolved]

    @property
    def digests(self) -> dict[str, str]:
        """Each stage's digest."""
        return {name: stage.digest for name, stage in self.stages.items()}

    @property
    def inputs(self) -> dict[str, Mapping[str, str]]:
        """The sha256 of those inputs of each stage that no stage makes; no stage without one."""
        return {name: stage.work.expect_inputs for name, stage in self.stages.items() if stage.work.expect_inputs}

    @property
    def spec(self) -> str | None:
        """What a status keeps of the spec; None for one that is too long for that."""
        text = self.pipeline.model_dump_json(exclude_defaults=True)
        return text if len(text) <= _LONGEST else None


def accept(
    found: Object,
    status: Status,
    settings: Settings,
    roots: Sequence[Address] | None,
    content: Callable[[str], Input],
) -> Accepted:
    """The pipeline of an object; Misdescribed or BadInput when it could never run, StoreFailed when nobody can say.

    Every place that it names is below the roots (None: any) before the `content` of one is asked for.
    Digests are frozen for as long as the works are described by the same words: a controller of another version, or
    an input that was changed in its place, re-runs nothing. So is what was seen of the inputs.
    """
    meta = found["metadata"]
    pipeline = Pipeline.parse(found.get("spec", {}), f"{meta['namespace']}/{meta['name']}")
    check_places(pipeline, roots)
    works = _works(pipeline)
    frozen = {name: Frozen(known, status.inputs.get(name, {})) for name, known in status.digests.items()}
    stages = resolve(pipeline, pipeline.root or "", content, frozen if status.works == works else None)
    for name, stage in stages.items():
        try:
            job(found, pipeline, stage, 1, settings)
        except Misdescribed as error:
            raise Misdescribed(f"stage {name}: {error}") from error
    return Accepted(pipeline, works, stages)


def last_accepted(status: Status) -> Accepted | None:
    """The generation that a status tells of, as it was taken in; None where this version cannot read that."""
    try:
        pipeline = Pipeline.model_validate_json(status.accepted or "", extra="ignore")
        frozen = {stage.name: Frozen(status.digests[stage.name], {}) for stage in pipeline.stages}
    except (ValidationError, KeyError):
        return None
    return Accepted(pipeline, status.works or "", resolve(pipeline, pipeline.root or "", frozen=frozen))


def _works(pipeline: Pipeline) -> str:
    words = {
        stage.name: [stage.kind, stage.experiment, list(stage.overrides), dict(stage.inputs)]
        for stage in pipeline.stages
    }
    return digest({"root": pipeline.root, "stages": words})
