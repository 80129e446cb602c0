"""Prompts from a closed list, each a number of its own."""

import difflib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn.functional import one_hot

from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments.encoders import Labels
from fastgen_k8s.networks.network import Condition


def read(settings: Labels, teacher: Path | None) -> "LabelEncoder":
    """An encoder without weights."""
    return LabelEncoder(settings.labels)


class LabelEncoder:
    """One-hot vectors [B, 1, labels] of a closed list of prompts; the empty prompt is zeros."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)

    def __call__(self, prompts: Sequence[str]) -> Condition:
        """The condition of some prompts; BadInput for one that is not in the list."""
        classes = torch.tensor([self._class(prompt) for prompt in prompts])
        return {"text": one_hot(classes, len(self.labels) + 1)[:, None, 1:].float()}  # [B, 1, labels]

    def _class(self, prompt: str) -> int:
        if not prompt:
            return 0
        if prompt in self.labels:
            return 1 + self.labels.index(prompt)
        near = difflib.get_close_matches(prompt, self.labels, n=1)
        nearest = f"; the nearest is {near[0]!r}" if near else ""
        raise BadInput(f"wanted one of the prompts {list(self.labels)}, found {prompt!r}{nearest}")
