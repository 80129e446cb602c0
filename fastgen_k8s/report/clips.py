"""Finished clips of a pairs or samples artifact, as the report shows and measures them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fastgen_k8s.artifacts import Artifact
from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.pth import tensor_from_pth


@dataclass(frozen=True)
class Clips:
    """The clips of one input, in the order of their numbers."""

    name: str  # of the input
    artifact: Artifact
    prompts: tuple[str, ...]  # one per clip

    def latents(self) -> Tensor:
        """Every clip's latent [N, C, T, H, W]; BadInput when one is of another shape."""
        latents = [self._latent(number) for number in range(len(self.prompts))]
        odd = next((number for number, latent in enumerate(latents) if latent.shape != latents[0].shape), None)
        if odd is not None:
            wanted, found = list(latents[0].shape), list(latents[odd].shape)
            raise BadInput(f"{self.artifact.uri}/samples/{odd:06d}/latent.pth: wanted a tensor {wanted}, found {found}")
        return torch.stack(latents)

    def video(self, number: int) -> bytes | None:
        """The MP4 file of a clip, or None where latents are the data."""
        name = f"samples/{number:06d}/video.mp4"
        return self.artifact.read(name) if name in self.artifact.manifest.files else None

    def first(self, prompt: str) -> int | None:
        """The first clip of a prompt."""
        return self.prompts.index(prompt) if prompt in self.prompts else None

    def _latent(self, number: int) -> Tensor:
        name = f"samples/{number:06d}/latent.pth"
        return tensor_from_pth(self.artifact.read(name), f"{self.artifact.uri}/{name}").float()


def read_clips(name: str, artifact: Artifact) -> Clips:
    """The clips of an artifact; BadInput when it holds none."""
    files = artifact.manifest.files
    count = sum(file.endswith("/latent.pth") for file in files)
    if count == 0:
        raise BadInput(f"{artifact.uri}: wanted clips samples/<n>/latent.pth, found {len(files)} other files")
    return Clips(
        name, artifact, tuple(_prompt(artifact, f"samples/{number:06d}/prompt.txt") for number in range(count))
    )


def _prompt(artifact: Artifact, name: str) -> str:
    try:
        return artifact.read(name).decode().strip()
    except UnicodeDecodeError as error:
        raise BadInput(f"{artifact.uri}/{name}: wanted a prompt in UTF-8, found {error.object[:40]!r}") from error


def spread_out(prompts: Sequence[str], count: int) -> list[str]:
    """At most `count` different prompts from all over a list that may repeat them, in its order.

    >>> spread_out(["a", "a", "b", "c", "d", "e"], 3)
    ['a', 'c', 'e']
    """
    known = list(dict.fromkeys(prompts))
    if count >= len(known):
        return known
    return [known[round(index * (len(known) - 1) / max(1, count - 1))] for index in range(count)]
