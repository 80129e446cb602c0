"""The facts of the closed form of blobs on a ring."""

from typing import Literal

from pydantic import PositiveFloat, PositiveInt

from fastgen_k8s.experiments.by_kind import ByKind


class RingBlobs(ByKind):
    """A bump moving on a ring: the exact posterior mean over all videos of one prompt, or of all for no prompt."""

    kind: Literal["ring_blobs"]
    speeds: tuple[PositiveInt, ...] = (1, 2)  # pixels a frame; label 0 moves right, label 1 left
    width: PositiveFloat = 2.0  # of the bump, pixels
    noise: PositiveFloat = 0.05  # standard deviation around each video
