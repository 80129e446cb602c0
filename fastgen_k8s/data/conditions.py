"""Encoded prompts as an artifact: written by encode, read by pairs, train and sample."""

import json
from collections.abc import Sequence
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from fastgen_k8s.artifacts import Artifact, Writer
from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.network import Condition

_PROMPTS = "prompts.json"


def write_conditions(
    writer: Writer, prompts: Sequence[str], encoded: Condition, negative: Condition, empty: Condition
) -> None:
    """Put prompts and their encodings [N, ...], and those of the negative and the empty prompt [1, ...]."""
    for index in range(len(prompts)):
        writer.put(_name(index), _to_bytes(encoded, index))
    writer.put("negative.safetensors", _to_bytes(negative, 0))
    writer.put("empty.safetensors", _to_bytes(empty, 0))
    writer.put(_PROMPTS, json.dumps(list(prompts), ensure_ascii=False, indent=1).encode())


class Conditions:
    """The prompts of an artifact and their encodings, read as they are asked for."""

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact
        self.digest = artifact.manifest.digest
        self.prompts: tuple[str, ...] = tuple(cast("list[str]", json.loads(artifact.read(_PROMPTS))))
        self.negative: Condition = _batched([self._read("negative.safetensors")])  # each [1, ...]
        self.empty: Condition = _batched([self._read("empty.safetensors")])  # each [1, ...]
        self._encoded: dict[int, Condition] = {}

    def __len__(self) -> int:
        return len(self.prompts)

    def batch(self, indices: Sequence[int]) -> Condition:
        """The encodings of some prompts, each [B, ...]."""
        for index in set(indices) - self._encoded.keys():
            self._encoded[index] = self._read(_name(index))
        return _batched([self._encoded[index] for index in indices])

    def _read(self, name: str) -> Condition:
        return _from_bytes(self._artifact.read(name), f"{self._artifact.uri}/{name}")


def repeat(condition: Condition, batch: int) -> Condition:
    """One encoding [1, ...] for a whole batch [B, ...]."""
    return {name: value.expand(batch, *value.shape[1:]) for name, value in condition.items()}


def to_device(condition: Condition, device: torch.device) -> Condition:
    """The same condition on a device."""
    return {name: value.to(device) for name, value in condition.items()}


def _name(index: int) -> str:
    return f"prompts/{index:06d}.safetensors"


def _to_bytes(condition: Condition, row: int) -> bytes:
    return save({name: value[row].contiguous() for name, value in condition.items()})


def _from_bytes(data: bytes, where: str) -> Condition:
    try:
        return load(data)
    except SafetensorError as error:
        raise BadInput(f"{where}: wanted a safetensors file, found {error}") from error


def _batched(rows: Sequence[Condition]) -> Condition:
    first: dict[str, Tensor] = dict(rows[0])
    return {name: torch.stack([row[name] for row in rows]) for name in first}
