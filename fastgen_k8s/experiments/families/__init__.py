"""The table of families, one line each: of networks with weights, and of teachers in closed form."""

from typing import Annotated

from pydantic import Field

from fastgen_k8s.experiments.families.cosmos import Cosmos
from fastgen_k8s.experiments.families.gaussian_rotation import GaussianRotation
from fastgen_k8s.experiments.families.ring_blobs import RingBlobs
from fastgen_k8s.experiments.families.wan import Wan

Architecture = Annotated[
    Wan  # Wan2.1
    | Cosmos,  # Cosmos-Predict2.5
    Field(discriminator="kind"),
]

ClosedForm = Annotated[
    GaussianRotation  # clips in which planes turn
    | RingBlobs,  # bumps that move
    Field(discriminator="kind"),
]
