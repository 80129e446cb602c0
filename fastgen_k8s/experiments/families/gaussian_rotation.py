"""The facts of the closed form of Gaussian clips."""

from typing import Annotated, Literal

from pydantic import Field

from fastgen_k8s.experiments.by_kind import ByKind


class GaussianRotation(ByKind):
    """Clips x_{k+1} = a R(angle) x_k + sqrt(1 - a^2) n with a plane rotation per prompt: all in closed form."""

    kind: Literal["gaussian_rotation"]
    a: Annotated[float, Field(gt=0, lt=1)] = 0.9
    angles: tuple[float, ...] = (0.6, -0.6)  # radians a frame, one per label
