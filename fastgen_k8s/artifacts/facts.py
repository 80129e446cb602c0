"""What manifests say of their artifacts beside the files, by kind: what later stages rely on and compare.

A report has numbers by the names of its inputs and of a metric, and so no class here.
"""

from typing import Literal

from pydantic import ConfigDict, JsonValue

from fastgen_k8s.config import Config


class Facts(Config):
    """Facts of one kind: what was not said is not written, and a manifest may say more than its reader knows."""

    model_config = ConfigDict(extra="ignore")

    def said(self, *names: str) -> dict[str, JsonValue]:
        """As a manifest has them: those of these names, or all, that were said."""
        return self.model_dump(mode="json", exclude_unset=True, include=set(names) or None)


class ModelFacts(Facts):
    """Of a teacher's folder."""

    parts: tuple[str, ...]
    repo: str | None = None  # where it was pulled from
    revision: str | None = None  # the commit there


class ConditionsFacts(Facts):
    """Of encoded prompts."""

    prompts: int
    negative_prompt: str | None = None


class PairsFacts(Facts):
    """Of a teacher's trajectories."""

    samples: int
    seed: int
    times: tuple[float, ...]
    latent: tuple[int, ...]
    teacher_digest: str


class SamplesFacts(Facts):
    """Of clips from a student."""

    samples: int
    seed: int
    trained: bool


class StudentFacts(Facts):
    """Of what a network was made for, and how it was rolled out in its training, if it was."""

    t_list: tuple[float, ...]
    chunk_size: int | None
    latent: tuple[int, ...]
    role: str = "student"
    renoise: Literal["sde", "ode"] | None = None
    context_noise: float | None = None


class TrainingFacts(StudentFacts):
    """Of a training: all of its roles."""

    method: str
    roles: tuple[str, ...]
    steps: int
    seed: int
    ema: bool
    step: int | None = None  # of the checkpoint that is the artifact


class WeightsFacts(StudentFacts):
    """Of one network's weights, taken out of what `origin` is the digest of."""

    weights: str
    origin: str
    layout: str
    step: int | None
