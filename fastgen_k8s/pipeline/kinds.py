"""The kinds of stage, a row each: all that the planner, the launcher, the controller and the faces know of one.

A row named `evaluate` is done by the module `fastgen_k8s.stages.evaluate`; to add a kind is to add these two.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Annotated, Literal

from pydantic import GetPydanticSchema, PositiveInt
from pydantic_core import core_schema

from fastgen_k8s.config import Config


class StageKind(Config):
    """What a kind of stage reads, so that its digest depends on that and on nothing else, and how it is worked on."""

    name: str
    does: str = ""  # in a sentence
    makes: str  # kind of artifact
    reads: tuple[str, ...]  # dotted sections of the experiment
    inputs: Mapping[str, tuple[str, ...]] = {}  # name -> the artifacts that it may be, the usual one first; none: files
    shows: tuple[str, ...] = ()  # artifacts that inputs of any other name may be
    workers: Literal["one", "apart", "together"] = "one"
    recipe: PositiveInt = 1  # raised when the meaning of the stage changes
    components: tuple[str, ...] = ()  # as which `torchx run` takes it: components/NAME.py

    @property
    def prompted(self) -> bool:
        """Whether it reads prompts, or the conditions that are made of them."""
        return not {"prompts", "conditions"}.isdisjoint(self.inputs)

    @property
    def shared(self) -> bool:
        """Whether many workers do one work, so that a placement without a stage's name is for it."""
        return self.workers != "one"

    @property
    def elastic(self) -> bool:
        """Whether its workers meet in one process group, whose size may change."""
        return self.workers == "together"

    @property
    def idempotent(self) -> bool:
        """Whether each worker makes what is missing, the same bytes as any other, so that losing one costs nothing."""
        return self.workers == "apart"

    @property
    def evictable(self) -> bool:
        """Whether a pod may be moved: not where that takes the work since the last checkpoint, and its peers' time."""
        return not self.elastic

    def takes(self, name: str) -> tuple[str, ...]:
        """The artifacts that an input of this name may be."""
        return self.inputs.get(name, self.shows)


_ROWS = (
    StageKind(
        name="encode",
        does="Encode prompts into a conditions artifact.",
        makes="conditions",
        reads=("model.text", "conditions"),
        inputs={"prompts": (), "teacher": ("model",)},
        components=("encode",),
    ),
    StageKind(
        name="pairs",
        does="Stage 1: follow the teacher's trajectories.",
        makes="pairs",
        reads=("model", "pairs"),
        inputs={"conditions": ("conditions",), "teacher": ("model",)},
        workers="apart",
        components=("stage1",),
    ),
    StageKind(
        name="train",
        does="Stages 2 and 3: CausalKD, Self-Forcing, or whatever the experiment's method is.",
        makes="training",
        reads=("model", "method", "optimisation", "train"),
        inputs={
            "conditions": ("conditions",),
            "pairs": ("pairs",),
            "teacher": ("model",),
            "student": ("weights", "training"),
        },
        workers="together",
        components=("stage2", "stage3"),
    ),
    StageKind(
        name="bridge",
        does="From a training checkpoint to the weights that the next stage starts from.",
        makes="weights",
        reads=("model", "bridge"),
        inputs={"checkpoint": ("training",)},
        components=("bridge",),
    ),
    StageKind(
        name="sample",
        does="Draw clips from a student, chunk by chunk.",
        makes="samples",
        reads=("model", "sample"),
        inputs={"conditions": ("conditions",), "teacher": ("model",), "student": ("weights", "training")},
        workers="apart",
        components=("sample",),
    ),
    StageKind(
        name="report",
        does="A page that shows and measures what the inputs hold.",
        makes="report",
        reads=("model", "report"),
        shows=("pairs", "samples", "training", "conditions", "model", "weights"),
        components=("report",),
    ),
)

KINDS: Mapping[str, StageKind] = {kind.name: kind for kind in _ROWS}

Kind = Annotated[str, GetPydanticSchema(lambda _, __: core_schema.literal_schema(list(KINDS)))]
"""The name of a kind."""

_INPUTS = dict(chain.from_iterable(kind.inputs.items() for kind in _ROWS))  # a name means the same to every kind

MADE_BY: Mapping[str, tuple[str, ...]] = {
    name: tuple(kind.name for kind in _ROWS if kind.makes in artifacts)
    for usual in _ROWS
    for name, artifacts in _INPUTS.items()
    if artifacts[:1] == (usual.makes,)
}
"""Kinds of stage whose artifact an input can be; an input that is not listed takes any."""
