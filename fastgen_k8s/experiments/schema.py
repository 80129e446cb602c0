"""What an experiment can say: model, pairs, method, optimisation, length. Everything here is hashed."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from fastgen_k8s.config import Config
from fastgen_k8s.experiments.method import AnyMethod, Rollout
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.experiments.ranges import Probability

Precision = Literal["float32", "bfloat16"]


# --- data ------------------------------------------------------------------------------------------------------------


class ConditionsSettings(Config):
    """What the encode stage makes besides the prompts' own encodings, and which prompts it takes."""

    negative_prompt: str = ""
    guardrail: bool = False  # refuse prompts that NVIDIA's `cosmos_guardrail` refuses, as a licence may ask


class Pairs(Config):
    """How the teacher's trajectories are made."""

    teacher: Literal["bidirectional", "autoregressive"] = "bidirectional"
    solver: Literal["unipc", "heun", "euler"] = "unipc"
    solver_steps: PositiveInt = 35
    guidance: PositiveFloat = 3.0  # uncond + g (cond - uncond)
    samples_per_prompt: PositiveInt = 1
    block_size: PositiveInt = 8  # samples computed together; hashed, for batch composition changes bits
    seed: int = 0
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"  # of the stored states
    video: bool = True  # decode `video.mp4` where the model has a codec


# --- optimisation ----------------------------------------------------------------------------------------------------


class Optimiser(Config):
    """AdamW for one role, its schedule over that role's own updates, and its clip."""

    lr: PositiveFloat = 1e-5
    betas: tuple[Probability, Probability] = (0.9, 0.999)
    eps: PositiveFloat = 1e-8
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip: PositiveFloat = 10.0  # gradient norm
    warmup: NonNegativeInt = 0  # updates
    decay: Literal["constant", "cosine"] = "constant"
    hold: Probability = 0.0  # share of the updates after warm-up before the cosine begins


class Optimisation(Config):
    """One optimiser per role; a method trains the roles that it has."""

    student: Optimiser = Optimiser()
    fake_score: Optimiser = Optimiser()
    discriminator: Optimiser = Optimiser()


class Ema(Config):
    """Averaged student weights: decay at student update n is min(decay, (n + 1) / (n + ramp)) from `start` on."""

    decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    start: NonNegativeInt = 200  # student updates before it; until then the average is the student itself
    ramp: NonNegativeInt = 0  # 0: the decay is constant


class Validation(Config):
    """Samples from fixed draws while training; 0 makes none."""

    every: NonNegativeInt = 0  # steps
    samples: PositiveInt = 4


class Train(Config):
    """Length, batch and precision of a training run."""

    steps: PositiveInt = 1000  # exactly so many
    global_batch: PositiveInt = 8
    seed: int = 0
    precision: Precision = "float32"  # of computation; master weights and optimiser state are float32
    checkpointing: bool = False  # recompute activations in the backward pass
    skip_batch: bool = False  # go on after a non-finite loss by leaving that step out
    ema: Ema | None = None
    validation: Validation = Validation()


# --- after training --------------------------------------------------------------------------------------------------


class Bridge(Config):
    """What the bridge takes out of a checkpoint and how it writes it."""

    role: Literal["student", "fake_score"] = "student"
    weights: Literal["raw", "ema"] = "raw"
    format: Literal["pt", "safetensors", "diffusers"] = "pt"


class Sample(Rollout):
    """How samples are drawn from a student."""

    samples_per_prompt: PositiveInt = 1
    batch: PositiveInt = 8  # samples computed together; hashed, as for pairs
    seed: int = 1
    weights: Literal["raw", "ema"] = "ema"  # of a training artifact that has both
    video: bool = True


class Report(Config):
    """What the report measures and shows."""

    metric: str | None = None  # "package.module:function", called with (experiment, latents, prompts)
    shares: tuple[str, ...] = ()  # those of its numbers that are shares of the clips: shown with their binomial error
    titles: tuple[tuple[str, str], ...] = ()  # (input, title) in the order shown; others follow under their own names
    title: str = ""  # of the page; the experiment's name where there is none
    note: str = ""  # a few sentences for the page's reader
    videos: NonNegativeInt = 8  # prompts shown side by side


class Experiment(Config):
    """What the science is. Where and how it runs is Placement and Execution."""

    name: str
    model: Model
    conditions: ConditionsSettings = ConditionsSettings()
    pairs: Pairs = Pairs()
    method: AnyMethod
    optimisation: Optimisation = Optimisation()
    train: Train = Train()
    bridge: Bridge = Bridge()
    sample: Sample = Sample()
    report: Report = Report()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        self.method.check_steps(self.model.steps)
        return self
