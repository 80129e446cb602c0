"""What an experiment says of its model: the family's facts, shared by all of its runs."""

from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from fastgen_k8s.config import Config
from fastgen_k8s.experiments.codecs import Codec
from fastgen_k8s.experiments.encoders import TextEncoder
from fastgen_k8s.experiments.families import Architecture, ClosedForm
from fastgen_k8s.experiments.ranges import Time


class Model(Config):
    """A family's facts in one value, so that its teacher, pairs and students cannot disagree about them."""

    network: Architecture  # of student, fake score, and of a teacher with weights
    teacher: ClosedForm | None = None  # None: a network with the weights of the input `teacher`
    text: TextEncoder
    codec: Codec
    latent: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]  # C, T, H, W
    fps: PositiveInt = 16  # of decoded videos
    shift: PositiveFloat = 5.0  # of the teacher's schedule
    max_t: Annotated[float, Field(gt=0, lt=1)] = 0.999
    t_list: tuple[Time, ...] = (0.999, 0.937, 0.833, 0.624, 0.0)  # the student's times, ending at 0
    chunk_size: PositiveInt | None = 3  # latent frames; None: a bidirectional student
    window: PositiveInt | None = None  # latent frames of the past that a chunk sees; None: all
    sink: NonNegativeInt = 0  # first latent frames that it sees besides the window

    @property
    def family(self) -> Architecture | ClosedForm:
        """The teacher's."""
        return self.teacher or self.network

    @property
    def parts(self) -> tuple[str, ...]:
        """What is read of a teacher's folder; nothing where the teacher is a closed form."""
        own = self.family.parts
        return (*own, *self.text.parts, *self.codec.parts) if own else ()

    @field_validator("t_list")
    @classmethod
    def _descends_to_zero(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(value) < 2 or value[-1] != 0 or any(a <= b for a, b in pairwise(value)):
            raise ValueError("wanted at least two times that descend strictly and end at 0")
        return value

    @model_validator(mode="after")
    def _starts_at_max_t(self) -> Self:
        if self.t_list[0] != self.max_t:
            raise ValueError(f"t_list must start at max_t {self.max_t:g}, found {self.t_list[0]:g}")
        return self

    @property
    def times(self) -> tuple[float, ...]:
        """The times of t_list above 0: those of a path's states, and of the student's steps."""
        return self.t_list[:-1]

    @property
    def steps(self) -> int:
        """S, how many times of t_list are above 0."""
        return len(self.times)
