"""Time per stage, from the `run.json` that a runner keeps in its root."""

import json
from collections.abc import Mapping
from typing import cast

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.artifacts.address import is_remote, path_of
from fastgen_k8s.artifacts.manifest import MOST_BYTES
from fastgen_k8s.errors import BadInput


def stage_times(output: str) -> dict[str, float]:
    """Seconds of finished stages of the root that has `output` (root/<stage>/<digest>); none without a `run.json`."""
    root = _above(output)
    data = None if root is None else store_at(root).get("run.json", MOST_BYTES)
    if data is None:
        return {}
    try:
        stages = cast("Mapping[str, Mapping[str, float]]", json.loads(data)["stages"])
        return {name: entry["seconds"] for name, entry in stages.items() if entry["seconds"] > 0}
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise BadInput(f"{root}/run.json: wanted the history of a run, found {data[:40]!r}") from error


def _above(output: str) -> str | None:
    """The root of a stage's output, or None for an object that has none: it would be no place in a bucket."""
    if is_remote(output):
        root = output.rsplit("/", 2)[0]
        return root if is_remote(root) else None
    return str(path_of(output).absolute().parent.parent)
