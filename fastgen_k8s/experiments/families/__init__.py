"""The table of families, one line each: of networks with weights, and of teachers in closed form."""

from typing import Annotated, get_args

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

WEIGHTED: tuple[str, ...] = tuple(family.named() for family in get_args(get_args(Architecture)[0]))
"""The kinds of the former."""
