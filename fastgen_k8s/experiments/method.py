"""The table of methods, and what an experiment says of each: one class of settings."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Self, Union

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from fastgen_k8s.config import Config
from fastgen_k8s.experiments.needs import MethodSettings, Needs
from fastgen_k8s.experiments.ranges import Probability, Time


class RegressionSettings(MethodSettings):
    """KD (`start`), KD along a path (`path`) and CausalKD (`chunks`): regress the teacher's x0 from its states."""

    kind: Literal["regression"]
    pick: Literal["start", "path", "chunks"]
    clean_chunks: Literal["mask", "count"] = "mask"
    context: Literal["noised", "clean"] = "noised"  # what a chunk sees: the clip at its own times, or the clean past
    as_published: bool = False  # KD from a set that holds raw noise: keep the unscaled input

    @property
    def needs(self) -> Needs:
        """The teacher's paths; a student that is not given starts as the teacher."""
        return Needs(pairs=True, teacher="start")


class FlowMatchingSettings(MethodSettings):
    """Train a teacher from clips: v(x_t, t, c) -> eps - x0."""

    kind: Literal["flow_matching"]
    drop_prompt: Probability = 0.1
    teacher_forcing: bool = False  # per chunk, noised at its own time on a clean past

    @property
    def needs(self) -> Needs:
        """Clean clips: those of pairs."""
        return Needs(pairs=True)


class Rollout(Config):
    """How a student goes from noise to a clip: the same while it learns and when it is sampled."""

    renoise: Literal["sde", "ode"] = "sde"  # to the next time with fresh noise, or with what the prediction implies
    context_noise: Time = 0.0  # time to which a finished chunk is noised before it is cached


class Gan(Config):
    """The adversarial term: heads on the frozen teacher's features."""

    weight: PositiveFloat = 0.003
    blocks: tuple[NonNegativeInt, ...]  # of the teacher, whose outputs the heads read
    real: Literal["pairs", "videos"] = "pairs"
    same_noise: bool = True  # real samples are noised with the fake ones' (t, eps), or with their own
    r1_weight: Annotated[float, Field(ge=0)] = 0.0
    r1_alpha: PositiveFloat = 0.1


class Health(Config):
    """Bounds that stop a run with a diagnosis instead of letting it waste a cluster."""

    critic_lag: PositiveFloat | None = (
        None  # largest critic loss over the teacher's on the same samples; None: unwatched
    )
    variance: tuple[PositiveFloat, PositiveFloat] | None = None  # of a generated chunk to the real one
    patience: PositiveInt = 50  # updates in a row outside before the run stops

    @field_validator("variance")
    @classmethod
    def _ascends(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        return None if value is None else _range(value)


class DistributionMatchingSettings(MethodSettings, Rollout):
    """DMD2 on a bidirectional student, Self-Forcing on a causal one: they differ in the rollout only."""

    kind: Literal["distribution_matching"]
    guidance: PositiveFloat = 5.0
    student_update_freq: PositiveInt = 5  # step k updates the student when k is a multiple of it
    critic_warmup: NonNegativeInt = 0  # critic steps before step 1
    critic_init: Literal["teacher", "random"] = "teacher"
    exit_sampling: Literal["random", "last", "weighted"] = "random"
    exit_weights: tuple[PositiveFloat, ...] | None = None  # for `weighted`, one per step
    same_step_across_blocks: bool = True
    start_gradient_frame: NonNegativeInt = 0
    times: tuple[Time, Time] = (0.001, 0.999)  # range of t for matching and denoising
    time_shift: PositiveFloat | None = None  # of the drawn times; None: the model's
    critic_loss: Literal["flow", "x0"] = "flow"
    gan: Gan | None = None
    health: Health = Health()

    @property
    def needs(self) -> Needs:
        """The teacher beside any student, and real clips for an adversary."""
        real = None if self.gan is None else self.gan.real
        return Needs(real == "pairs", real == "videos", "always", self.guidance)

    def check_steps(self, steps: int) -> None:
        """Refuse weights of the exits that are not one for each step (ValueError)."""
        if self.exit_weights is not None and len(self.exit_weights) != steps:
            raise ValueError(f"method.exit_weights: wanted one for each of {steps} steps of model.t_list")

    @model_validator(mode="after")
    def _weights_for_weighted(self) -> Self:
        if (self.exit_sampling == "weighted") != (self.exit_weights is not None):
            raise ValueError("exit_weights go with exit_sampling: weighted, and only with it")
        return self

    @field_validator("times")
    @classmethod
    def _ascend(cls, value: tuple[float, float]) -> tuple[float, float]:
        return _range(value)


def _range(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError(f"wanted a range that ascends, found {value[0]:g} above {value[1]:g}")
    return value


METHODS: Mapping[type[MethodSettings], str] = {
    RegressionSettings: "fastgen_k8s.methods.regression:build",
    FlowMatchingSettings: "fastgen_k8s.methods.flow_matching:build",
    DistributionMatchingSettings: "fastgen_k8s.methods.distribution_matching:build",
}
"""From settings to the function of the data plane that builds the method."""

if TYPE_CHECKING:
    AnyMethod = MethodSettings
else:  # the union is made of the table, which a type checker cannot read
    AnyMethod = Annotated[Union[tuple(METHODS)], Field(discriminator="kind")]  # noqa: UP007
