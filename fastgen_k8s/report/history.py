"""Time per stage, from the `run.json` that a runner keeps in its root."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from fastgen_k8s.errors import BadInput


@dataclass(frozen=True)
class StageTime:
    """How long the jobs of one stage took, when it was made."""

    stage: str
    seconds: float


def stage_times(output: str) -> list[StageTime]:
    """The finished stages of the root that `output` (root/<stage>/<digest>) lies in; none without a `run.json`."""
    record = Path(output.removeprefix("file://")).absolute().parent.parent / "run.json"
    if not record.is_file():
        return []
    data = record.read_bytes()
    try:
        stages = cast("Mapping[str, Mapping[str, float]]", json.loads(data)["stages"])
        return [StageTime(name, entry["seconds"]) for name, entry in stages.items() if entry["seconds"] > 0]
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise BadInput(f"{record}: wanted the history of a run, found {data[:40]!r}") from error
