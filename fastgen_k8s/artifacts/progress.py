"""The small file beside an artifact in the making that says how far it is: what stages write and everybody reads."""

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Annotated

from pydantic import (
    AliasPath,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.dataclasses import dataclass

from fastgen_k8s.artifacts.manifest import TooLarge
from fastgen_k8s.artifacts.metrics import LOSS
from fastgen_k8s.artifacts.store import Store, store_at

FILE = "progress.json"
"""No part of the artifact; it is replaced as a whole."""
MOST_BYTES = 64 << 10
_MOST = 2**53
_LARGEST = 1e12  # a status holds no larger number


def _or_nothing(value: object, check: ValidatorFunctionWrapHandler) -> object:
    """What makes no sense is not said."""
    try:
        return check(value)
    except ValidationError:
        return None


_Count = Annotated[int | None, Field(ge=0, le=_MOST, strict=True), WrapValidator(_or_nothing)]
_Number = Annotated[float | None, Field(ge=-_LARGEST, le=_LARGEST, strict=True), WrapValidator(_or_nothing)]


@dataclass(frozen=True, config=ConfigDict(validate_by_name=True, validate_by_alias=True))
class Progress:
    """Steps made of how many, and what they came to; None: it does not say."""

    step: _Count = None
    steps: _Count = None
    rate: _Number = None  # steps a second
    eta: Annotated[_Number, Field(validation_alias="eta_seconds")] = None  # seconds to the end
    loss: Annotated[_Number, Field(validation_alias=AliasPath("losses", LOSS))] = None
    checkpoint: _Count = None  # step of the last one
    terms: Mapping[str, float | None] = field(default_factory=dict[str, float | None])  # of the loss, for people

    def put(self, store: Store) -> None:
        """Write it beside an artifact, with what is known alone."""
        losses = None if self.loss is None and not self.terms else {LOSS: self.loss, **self.terms}
        said = {
            "step": self.step,
            "steps": self.steps,
            "rate": self.rate,
            "eta_seconds": self.eta,
            "losses": losses,
            "checkpoint": self.checkpoint,
        }
        known = {name: value for name, value in said.items() if value is not None}
        store.put(FILE, (json.dumps(known, indent=1) + "\n").encode())


_FILE = TypeAdapter(Progress)


def read_progress(output: str) -> Progress:
    """What a stage said last of its steps; a file that no stage would write says nothing.

    Raises:
        FastgenError: the store could not be asked.
    """
    try:
        return _FILE.validate_json(store_at(output).get(FILE, MOST_BYTES) or b"{}")
    except (TooLarge, ValidationError):
        return Progress()
