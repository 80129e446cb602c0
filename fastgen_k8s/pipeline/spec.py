"""A pipeline as data: the spec of a `DistillationPipeline` object, checked as a whole before anything starts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import AwareDatetime, Field, model_validator

from fastgen_k8s.artifacts.address import check_place
from fastgen_k8s.config import nearest
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.experiments.schema import Experiment
from fastgen_k8s.kube.objects import Object, read_objects
from fastgen_k8s.pipeline.described import Described
from fastgen_k8s.pipeline.kinds import KINDS, MADE_BY, Kind
from fastgen_k8s.pipeline.work import Execution, Placement, Work, check_read, known_input

API_VERSION = "fastgen-k8s.github.io/v1alpha1"
OBJECT_KIND = "DistillationPipeline"

_NAMES = 16  # of several pipelines that are listed
_GROUP = API_VERSION.partition("/")[0]
_WORD = r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)"
_PREFIX = r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"

Name = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", max_length=40)]
FactKey = Annotated[str, Field(max_length=63)]  # of an input or of a fact
Override = Annotated[str, Field(max_length=4096)]
Uri = Annotated[str, Field(max_length=1024)]
Image = Annotated[str, Field(max_length=512)]
LabelKey = Annotated[str, Field(pattern=f"^{_PREFIX}{_WORD}$", max_length=317)]
LabelValue = Annotated[str, Field(pattern=f"^{_WORD}?$")]
AnnotationKey = Annotated[str, Field(pattern=f"^(?i:{_PREFIX}){_WORD}$", max_length=317)]
Number = Annotated[float, Field(ge=-1e12, le=1e12)]
Seconds = Annotated[int, Field(gt=0, le=31_536_000)]  # a year


class Bound(Described):
    """What a number that a stage's artifact records must lie within."""

    min: Number | None = None
    max: Number | None = None

    @model_validator(mode="after")
    def _can_hold(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("wanted min, max or both, found neither")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"wanted min up to max, found min {self.min:g} above max {self.max:g}")
        return self

    def __str__(self) -> str:
        low = [] if self.min is None else [f"at least {self.min:g}"]
        return " and ".join(low + ([] if self.max is None else [f"at most {self.max:g}"]))

    def holds(self, value: float) -> bool:
        """Whether the value lies within; no number at all (nan) does not."""
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max) and value == value


class Stage(Described):
    """One stage: its work without URIs, where it runs, its habits, and what it waits for."""

    name: Name
    kind: Kind
    experiment: Annotated[str, Field(max_length=128)]
    overrides: Annotated[tuple[Override, ...], Field(max_length=64)] = ()
    inputs: Annotated[Mapping[FactKey, Uri], Field(max_length=32)] = {}  # name -> an earlier stage, or a URI
    needs: Annotated[tuple[Name, ...], Field(max_length=32)] = ()  # earlier stages to wait for besides the inputs
    image: Image | None = None  # None: the pipeline's
    placement: Placement = Placement()
    execution: Execution = Execution()
    gate: Annotated[
        Mapping[FactKey, Bound], Field(max_length=32)
    ] = {}  # facts of the artifact that must hold before anything follows
    retries: Annotated[int, Field(ge=0, le=100)] = 1  # new jobs after a crash or an I/O failure
    deadline: Seconds | None = None  # seconds that one job may take once it works
    progressDeadlineSeconds: Seconds | None = None  # that it may go on without a further step

    def work(self, output: str, inputs: Mapping[str, str]) -> Work:
        """The work of this stage, with real places."""
        return Work(kind=self.kind, experiment=self.experiment, overrides=self.overrides, inputs=inputs, output=output)

    def resolve(self) -> Experiment:
        """The experiment with this stage's overrides; Misdescribed when one does not fit."""
        return self.work(output="", inputs={}).resolve()


class Pipeline(Described):
    """What is distilled, from start to end; the stages stand in an order in which they can run."""

    image: Image | None = None  # of a cluster; None: the controller's, if it was given one
    root: Uri | None = None  # where the stages' outputs go; `--root` replaces it
    backend: Literal["jobset", "volcano"] = "jobset"  # of a cluster; a local run has its own
    queue: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)] | None = None
    suspend: bool = False  # of a cluster: jobs write their checkpoints and end, and go on from them later
    deadline: Seconds | None = None  # of a cluster: seconds that all stages together may take
    ttlSecondsAfterFinished: Annotated[int, Field(ge=0, le=31_536_000)] | None = None  # then the object is removed
    cleanup: Literal["never", "succeeded", "always"] = "succeeded"  # whose ended jobs are removed before the object
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=64)]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.root is not None:
            _check_root(self.root)
        for index, stage in enumerate(self.stages):
            try:
                _check(stage, self.stages[:index], self.stages[index + 1 :])
            except Misdescribed as error:
                raise ValueError(f"stage {stage.name}: {error}") from error
        return self

    def stage(self, name: str) -> Stage:
        """The stage of that name; Misdescribed with the nearest name otherwise."""
        found = next((stage for stage in self.stages if stage.name == name), None)
        if found is None:
            raise Misdescribed(f"unknown stage {name!r}: {nearest(name, [stage.name for stage in self.stages])}")
        return found

    def inputs_of(self, stage: Stage) -> dict[str, str]:
        """Those inputs of a stage that are stages: input name -> stage name."""
        names = {other.name for other in self.stages}
        return {name: source for name, source in stage.inputs.items() if source in names}

    def before(self, stage: Stage) -> tuple[str, ...]:
        """Every stage that must be done before this one begins, once each."""
        return tuple(dict.fromkeys([*self.inputs_of(stage).values(), *stage.needs]))


class Metadata(Described):
    """Kubernetes' metadata: a name and marks, and what only a server has a use for, as it writes it itself."""

    name: Name
    namespace: Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?)?$", max_length=63)] = ""
    labels: Mapping[LabelKey, LabelValue] = {}
    annotations: Mapping[AnnotationKey, str] = {}
    generateName: str | None = None
    uid: str | None = None
    resourceVersion: str | None = None
    generation: int | None = None
    selfLink: str | None = None
    creationTimestamp: AwareDatetime | None = None
    deletionTimestamp: AwareDatetime | None = None
    deletionGracePeriodSeconds: int | None = None
    finalizers: tuple[str, ...] = ()
    ownerReferences: tuple[Mapping[str, object], ...] = ()
    managedFields: tuple[Mapping[str, object], ...] = ()


class DistillationPipeline(Described):
    """A pipeline file: always a whole object, the same for a laptop and for a cluster."""

    apiVersion: Literal["fastgen-k8s.github.io/v1alpha1"]
    kind: Literal["DistillationPipeline"]
    metadata: Metadata
    spec: Pipeline
    status: object = None  # a controller's, of a cluster: a run has its own


def read_pipeline(path: Path) -> DistillationPipeline:
    """The one pipeline of a file of objects; Misdescribed says in one line what is wrong with it.

    Objects of other kinds are left to `kubectl apply`, which takes the same file.
    """
    try:
        found = read_objects(path.read_bytes().decode())
    except OSError as error:
        raise Misdescribed(f"{path}: wanted a pipeline file, found none ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise Misdescribed(
            f"{path}: wanted a pipeline in UTF-8, found byte {error.object[error.start]:#04x}"
        ) from error
    except yaml.YAMLError as error:
        raise Misdescribed(f"{path}: wanted YAML, found {' '.join(str(error).split())}") from error
    except Misdescribed as error:
        raise Misdescribed(f"{path}: {error}") from error
    ours = [one for one in found if not _is_of_another_kind(one)]
    if not ours:
        kinds = ", ".join(dict.fromkeys(str(one["kind"]) for one in found)) or "none"
        raise Misdescribed(f"{path}: wanted an object of kind {OBJECT_KIND}, found {kinds}")
    pipelines = [DistillationPipeline.parse(one, str(path)) for one in ours]
    if len(pipelines) > 1:
        names = [one.metadata.name for one in pipelines]
        listed = ", ".join(names[:_NAMES] + ["..."] * (len(names) > _NAMES))
        raise Misdescribed(f"{path}: wanted one pipeline, found {len(names)}: {listed}")
    return pipelines[0]


def _is_of_another_kind(one: Object) -> bool:
    """Whether an object says that it is something else; one that does not say what it is, is not."""
    version, kind = one.get("apiVersion"), one.get("kind")
    if not (isinstance(version, str) and isinstance(kind, str) and version and kind):
        return False
    return kind != OBJECT_KIND and version.partition("/")[0] != _GROUP


def _check_root(root: str) -> None:
    try:
        check_place(root)
    except Misdescribed as error:
        raise ValueError(f"root: {error}") from error


def _check(stage: Stage, earlier: tuple[Stage, ...], later: tuple[Stage, ...]) -> None:
    kinds: dict[str, Kind] = {other.name: other.kind for other in earlier}
    if stage.name in kinds:
        raise Misdescribed("wanted a name of its own, found an earlier stage of that name")
    stage.resolve()
    check_read([stage.kind], stage.overrides)
    for name in stage.needs:
        _check_earlier(f"needs {name!r}", name, kinds, later, stage.name)
    for name, source in stage.inputs.items():
        known_input(stage.kind, name)
        if not source:
            raise Misdescribed(f"input {name}: wanted an earlier stage or a URI, found nothing")
        if is_uri(source):
            check_place(source)
            continue
        _check_earlier(f"input {name}: {source!r}", source, kinds, later, stage.name)
        wanted = MADE_BY.get(name, tuple(KINDS))
        if kinds[source] not in wanted:
            raise Misdescribed(
                f"input {name}: wanted a stage of kind {' or '.join(wanted)}, found {source!r} of kind {kinds[source]}"
            )


def _check_earlier(what: str, name: str, kinds: Mapping[str, Kind], later: tuple[Stage, ...], own: str) -> None:
    if name == own:
        raise Misdescribed(f"{what}: wanted an earlier stage, found itself")
    if name in {other.name for other in later}:
        raise Misdescribed(f"{what}: wanted an earlier stage, found a later one; move it up, or break the circle")
    if name not in kinds:
        raise Misdescribed(f"{what}: wanted an earlier stage (a URI has a slash or a dot): {nearest(name, kinds)}")


def is_uri(source: str) -> bool:
    """Whether an input names a place (it has a slash or a dot) and not a stage."""
    return "/" in source or "." in source
