"""Encoded prompts as an artifact: written by encode, read by pairs, train and sample."""

import json
from collections.abc import Iterable, Sequence
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from fastgen_k8s.artifacts import Artifact, Writer
from fastgen_k8s.data.pairs import RESIDENT_BYTES
from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments.encoders import TextEncoder
from fastgen_k8s.networks.network import Condition

_PROMPTS, _NEGATIVE, _EMPTY = "prompts.json", "negative.safetensors", "empty.safetensors"


def write_conditions(
    writer: Writer, prompts: Sequence[str], batches: Iterable[Condition], negative: Condition, empty: Condition
) -> None:
    """Put prompts and their encodings, batch [B, ...] by batch, and those of the negative and empty prompt [1, ...]."""
    rows = (_to_bytes(batch, row) for batch in batches for row in range(len(next(iter(batch.values())))))
    for index, row in enumerate(rows):
        writer.put(_name(index), row)
    writer.put(_NEGATIVE, _to_bytes(negative, 0))
    writer.put(_EMPTY, _to_bytes(empty, 0))
    writer.put(_PROMPTS, json.dumps(list(prompts), ensure_ascii=False, indent=1).encode())


class Conditions:
    """The prompts of an artifact and their encodings, read as they are asked for."""

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact
        self.digest = artifact.manifest.digest
        self.prompts = _prompts(artifact.read(_PROMPTS), f"{artifact.uri}/{_PROMPTS}")
        first = _from_bytes(artifact.read(_EMPTY), f"{artifact.uri}/{_EMPTY}")
        self._shapes = _shapes(first)  # every encoding has these
        self.empty: Condition = _batched([first])  # each [1, ...]
        self.negative: Condition = _batched([self._read(_NEGATIVE)])  # each [1, ...]
        size = len(self.prompts) * sum(value.numel() * value.element_size() for value in first.values())
        self._stay = size <= RESIDENT_BYTES  # in memory once read
        self._held: dict[int, Condition] = {}

    def __len__(self) -> int:
        return len(self.prompts)

    def check(self, text: TextEncoder) -> None:
        """Refuse encodings that are not those of the model's text encoder (BadInput)."""
        found = self._shapes.get("text", [])
        wanted = [text.length, *(found[1:] if text.numbers is None else [text.numbers])]
        if found != wanted:
            raise BadInput(f"{self._artifact.uri}: wanted a text {wanted} of model.text {text.kind}, found {found}")

    def batch(self, indices: Sequence[int]) -> Condition:
        """The encodings of some prompts, each [B, ...]."""
        held = self._held if self._stay else {}
        held |= {index: self._read(_name(index)) for index in dict.fromkeys(indices) if index not in held}
        return _batched([held[index] for index in indices])

    def _read(self, name: str) -> Condition:
        where = f"{self._artifact.uri}/{name}"
        encoded = _from_bytes(self._artifact.read(name), where)
        if _shapes(encoded) != self._shapes:
            raise BadInput(f"{where}: wanted {self._shapes} as in {_EMPTY}, found {_shapes(encoded)}")
        return encoded


def to_device(condition: Condition, device: torch.device) -> Condition:
    """The same condition on a device."""
    return {name: value.to(device) for name, value in condition.items()}


def _name(index: int) -> str:
    return f"prompts/{index:06d}.safetensors"


def _to_bytes(condition: Condition, row: int) -> bytes:
    return save({name: value[row].contiguous() for name, value in condition.items()})


def _prompts(data: bytes, where: str) -> tuple[str, ...]:
    try:
        found: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: wanted JSON, found {data[:40]!r}") from error
    prompts = cast("list[object]", found) if isinstance(found, list) else []
    if not prompts or not all(isinstance(prompt, str) for prompt in prompts):
        raise BadInput(f"{where}: wanted a list of prompts, found {data[:40]!r}")
    return tuple(cast("list[str]", prompts))


def _from_bytes(data: bytes, where: str) -> Condition:
    try:
        encoded = load(data)
    except SafetensorError as error:
        raise BadInput(f"{where}: wanted a safetensors file, found {error}") from error
    for name, value in encoded.items():
        if not value.isfinite().all():
            raise BadInput(f"{where}: wanted finite numbers, found some in {name!r} that are not")
    return encoded


def _shapes(encoded: Condition) -> dict[str, list[int]]:
    return {name: list(value.shape) for name, value in encoded.items()}


def _batched(rows: Sequence[Condition]) -> Condition:
    first: dict[str, Tensor] = dict(rows[0])
    return {name: torch.stack([row[name] for row in rows]) for name in first}
