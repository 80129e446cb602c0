"""ODE pairs as an artifact: the teacher's clean clip and its states on the way there, with the exact time of each."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Literal

import torch
from pydantic import BeforeValidator, Field, PlainSerializer, PositiveInt
from torch import Tensor

from fastgen_k8s.artifacts import Artifact
from fastgen_k8s.artifacts.manifest import from_json
from fastgen_k8s.artifacts.names import Sha256
from fastgen_k8s.config import Config
from fastgen_k8s.diffusion.draws import generator
from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.networks.pth import tensor_from_pth

INDEX = "index.json"
RESIDENT_BYTES = 2 << 30  # sets up to this size stay in memory once read
_FILES_AT_ONCE = 8  # an object store answers late, but to many
_MOST, _MOST_TIMES = 2**31 - 1, 1 << 17
Count = Annotated[int, Field(gt=0, le=_MOST)]
Word = Annotated[str, Field(max_length=63)]
ChunkSize = Annotated[  # a file has said 0 for none since the first sets: equal sets stay equal bytes
    Count | None,
    BeforeValidator(lambda size: None if size == 0 else size),
    PlainSerializer(lambda size: 0 if size is None else size, return_type=int),
]


class PairIndex(Config):
    """What a set of pairs is: facts that training compares before its first step."""

    samples: PositiveInt  # compared with the files that there are
    samples_per_prompt: Count  # sample n belongs to prompt n // samples_per_prompt
    block_size: Count
    latent: tuple[Count, Count, Count, Count]  # C, T, H, W
    times: Annotated[tuple[float, ...], Field(min_length=1, max_length=_MOST_TIMES)]  # of `path`'s states, exactly
    grid: Annotated[tuple[float, ...], Field(max_length=_MOST_TIMES)]  # of the solver, from max_t to 0
    solver: Word
    solver_steps: Count
    shift: float
    guidance: float
    dtype: Word  # of the stored states
    compute_dtype: Word = "float32"
    seed: int
    seed_rule: Annotated[str, Field(max_length=255)] = "noise of sample n: float32 stream of (seed, 'pair', n)"
    teacher: Literal["bidirectional", "autoregressive"]
    chunk_size: ChunkSize  # of an autoregressive teacher; None for a bidirectional one
    teacher_digest: Sha256
    conditions_digest: Sha256


class PairSet:
    """The pairs of an artifact, read and verified as they are asked for."""

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact
        self.index = from_json(PairIndex, artifact.read(INDEX), f"{artifact.uri}/{INDEX}")
        self._readers = ThreadPoolExecutor(_FILES_AT_ONCE, "pairs")
        numel = self.index.samples * (len(self.index.times) + 1) * math.prod(self.index.latent)
        self._stay = numel * 4 <= RESIDENT_BYTES  # in memory once read
        self._held: dict[int, tuple[Tensor, Tensor]] = {}

    def __len__(self) -> int:
        return self.index.samples

    @property
    def times(self) -> tuple[float, ...]:
        """The exact times of the states, descending."""
        return self.index.times

    def columns(self, times: Sequence[float]) -> list[int]:
        """Where the states at these times are, by recorded time; BadInput for one that is absent."""
        for t in times:
            if t not in self.times:
                held = ", ".join(f"{time:g}" for time in self.times)
                raise BadInput(
                    f"t_list time {t:g} is not in the pairs: they hold {held} ({self._artifact.uri}/{INDEX})"
                )
        return [self.times.index(t) for t in times]

    def prompts(self, indices: Sequence[int]) -> list[int]:
        """The prompt of each sample, as its place in the conditions."""
        return [index // self.index.samples_per_prompt for index in indices]

    def batch(self, indices: Sequence[int], times: Sequence[float]) -> tuple[Tensor, Tensor]:
        """x0 [B, C, T, H, W] and the path [B, S, C, T, H, W] at these times, both float32."""
        columns, held = self.columns(times), self._held if self._stay else {}
        absent = [index for index in dict.fromkeys(indices) if index not in held]
        held |= dict(zip(absent, self._readers.map(self._read, absent), strict=True))
        x0, path = (torch.stack(rows) for rows in zip(*(held[index] for index in indices), strict=True))
        return x0, path[:, columns]

    def check(self, model: Model, *, teacher: str | None, conditions: str) -> None:
        """Refuse pairs that do not fit the model, the teacher (digest) or the conditions (digest) of a training run."""
        where = f"{self._artifact.uri}/{INDEX}"
        paths = sum(name.endswith("/path.pth") for name in self._artifact.manifest.files)
        _same(where, "as many samples as the manifest has paths,", paths, self.index.samples)
        self.columns(model.times)
        _same(where, "latents of shape", list(model.latent), list(self.index.latent))
        _same(where, "pairs of the conditions", conditions[:16], self.index.conditions_digest[:16])
        if teacher is not None:
            _same(where, "pairs of the teacher", teacher[:16], self.index.teacher_digest[:16])
        if self.index.teacher == "autoregressive":
            _same(where, "an autoregressive teacher's chunk of", model.chunk_size, self.index.chunk_size)

    def _read(self, index: int) -> tuple[Tensor, Tensor]:
        states, shape = len(self.times), self.index.latent
        folder = f"samples/{index:06d}"
        latent = self._tensor(f"{folder}/latent.pth", shape)
        return latent, self._tensor(f"{folder}/path.pth", (states, *shape))

    def _tensor(self, name: str, shape: tuple[int, ...]) -> Tensor:
        value = tensor_from_pth(self._artifact.read(name), f"{self._artifact.uri}/{name}")
        if tuple(value.shape) != shape:
            raise BadInput(f"{self._artifact.uri}/{name}: wanted a tensor {list(shape)}, found {list(value.shape)}")
        _same(
            f"{self._artifact.uri}/{name}", "numbers of type", self.index.dtype, str(value.dtype).removeprefix("torch.")
        )
        if not value.isfinite().all():
            raise BadInput(f"{self._artifact.uri}/{name}: wanted finite numbers, found some that are not")
        return value.float()


def noise(seed: int, sample: int, latent: Sequence[int]) -> Tensor:
    """The noise [C, T, H, W] of a sample: a function of (seed, sample), never of rank, world or order."""
    return torch.randn(*latent, generator=generator(seed, "pair", sample))


def _same(where: str, what: str, wanted: object, found: object) -> None:
    if wanted != found:
        raise BadInput(f"{where}: wanted {what} {wanted}, found {found}")
