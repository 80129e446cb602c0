"""What an experiment can say: model, pairs, method, optimisation, length. Everything here is hashed."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from fastgen_k8s.config import Config
from fastgen_k8s.experiments.method import DistributionMatchingSettings, Method
from fastgen_k8s.experiments.ranges import Probability, Time

Precision = Literal["float32", "bfloat16"]


# --- model: a family's facts, shared by all of its runs -------------------------------------------------------------


class Wan(Config):
    """The architecture of a `WanTransformer3DModel`; a teacher's folder that has another one is refused."""

    kind: Literal["wan"]
    num_layers: PositiveInt = 30
    num_attention_heads: PositiveInt = 12
    attention_head_dim: Annotated[PositiveInt, Field(multiple_of=2)] = 128  # positions turn pairs of numbers
    ffn_dim: PositiveInt = 8960
    text_dim: PositiveInt = 4096
    freq_dim: PositiveInt = 256
    patch_size: tuple[Literal[1], PositiveInt, PositiveInt] = (
        1,
        2,
        2,
    )  # frames stay apart: a patch never mixes them
    cross_attn_norm: bool = True
    rope_max_seq_len: PositiveInt = 1024


class Cosmos(Config):
    """The architecture of Cosmos-Predict2.5's `CosmosTransformer3DModel`; the defaults are those of 2B."""

    kind: Literal["cosmos"]
    num_layers: PositiveInt = 28
    num_attention_heads: PositiveInt = 16
    attention_head_dim: Annotated[PositiveInt, Field(ge=12, multiple_of=2)] = 128  # a third each for t, y, x
    mlp_ratio: PositiveFloat = 4.0
    adaln_lora_dim: PositiveInt = 256
    text_embed_dim: PositiveInt = 1024  # of the blocks, and of stored conditions
    crossattn_proj_in_channels: PositiveInt = 100352  # all layers of the text encoder, side by side
    patch_size: tuple[Literal[1], PositiveInt, PositiveInt] = (1, 2, 2)
    max_size: tuple[PositiveInt, PositiveInt, PositiveInt] = (128, 240, 240)  # latent frames, height, width
    rope_scale: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (1.0, 3.0, 3.0)


Architecture = Annotated[Wan | Cosmos, Field(discriminator="kind")]


class GaussianRotation(Config):
    """Clips x_{k+1} = a R(angle) x_k + sqrt(1 - a^2) n with a plane rotation per prompt: all in closed form."""

    kind: Literal["gaussian_rotation"]
    a: Annotated[float, Field(gt=0, lt=1)] = 0.9
    angles: tuple[float, ...] = (0.6, -0.6)  # radians a frame, one per label


class RingBlobs(Config):
    """A bump moving on a ring: the exact posterior mean over all videos of one prompt, or of all for no prompt."""

    kind: Literal["ring_blobs"]
    speeds: tuple[PositiveInt, ...] = (1, 2)  # pixels a frame; label 0 moves right, label 1 left
    width: PositiveFloat = 2.0  # of the bump, pixels
    noise: PositiveFloat = 0.05  # standard deviation around each video


ClosedForm = Annotated[GaussianRotation | RingBlobs, Field(discriminator="kind")]


class Labels(Config):
    """Prompts from a closed list, as one-hot vectors [1, len(labels)]; the empty prompt is zeros."""

    kind: Literal["labels"]
    labels: tuple[str, ...]


class Umt5(Config):
    """The teacher folder's UMT5 `text_encoder/` and `tokenizer/`, padded with zeros to a fixed length."""

    kind: Literal["umt5"]
    length: PositiveInt = 512  # tokens


class Qwen25Vl(Config):
    """The teacher folder's Qwen2.5-VL, every layer, projected by the teacher as its blocks would read it."""

    kind: Literal["qwen2_5_vl"]
    length: PositiveInt = 512  # tokens


TextEncoder = Annotated[Labels | Umt5 | Qwen25Vl, Field(discriminator="kind")]


class AutoencoderWan(Config):
    """The teacher folder's `vae/`: diffusers' `AutoencoderKLWan`."""

    kind: Literal["autoencoder_kl_wan"]


class PatchPca(Config):
    """The teacher folder's `codec/`: a fixed linear map between blocks of pixels and channels."""

    kind: Literal["patch_pca"]


class NoCodec(Config):
    """Latents are the data; there is no video."""

    kind: Literal["none"]


Codec = Annotated[AutoencoderWan | PatchPca | NoCodec, Field(discriminator="kind")]


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


class Sample(Config):
    """How samples are drawn from a student."""

    samples_per_prompt: PositiveInt = 1
    batch: PositiveInt = 8  # samples computed together; hashed, as for pairs
    seed: int = 1
    renoise: Literal["sde", "ode"] = "sde"
    context_noise: Time = 0.0
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
    method: Method
    optimisation: Optimisation = Optimisation()
    train: Train = Train()
    bridge: Bridge = Bridge()
    sample: Sample = Sample()
    report: Report = Report()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        method, steps = self.method, len(self.model.t_list) - 1
        weights = method.exit_weights if isinstance(method, DistributionMatchingSettings) else None
        if weights is not None and len(weights) != steps:
            raise ValueError(f"method.exit_weights: wanted one for each of {steps} steps of model.t_list")
        return self
