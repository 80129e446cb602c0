"""What a run came to, as JSON lines in segments beside the artifact, one series for each group of processes.

`log/<prefix>/<first step>.jsonl` holds the steps from `first step` on that one group trained; the prefixes of later
groups sort after those of earlier ones. A later group may repeat steps whose checkpoint was lost: its lines count.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from fastgen_k8s.artifacts.store import Store, read
from fastgen_k8s.errors import BadInput
from fastgen_k8s.printable import shown

_FOLDER, _MERGED = "log", "metrics-"

LOSS = "total"
"""The name, in these lines and in `progress.json`, of the loss that a step follows: the sum of some of its terms."""

Line = Mapping[str, Any]
"""One step: "step", its loss and the method's terms, "norm/<role>", "lr/<role>"; or an event, without a step."""


def segment_file(prefix: str, first: int) -> str:
    """Where a group puts its steps from `first` on."""
    return f"{_FOLDER}/{prefix}/{first:08d}.jsonl"


def merged_file(prefix: str) -> str:
    """Where the group that ended a run puts all of its steps, as part of the artifact."""
    return f"{_MERGED}{prefix}.jsonl"


def read_metrics(store: Store) -> list[dict[str, Any]]:
    """The steps of a run in order, from all segments: a later group overrides from its first step on.

    Where the segments are gone, as in a copy of an artifact, its own file counts.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for name in store.keys(f"{_FOLDER}/"):
        prefix = name.split("/")[1]
        groups.setdefault(prefix, []).extend(_steps(read(store, name), f"{store.uri}/{name}"))
    if not groups:
        groups = {name: _steps(read(store, name), f"{store.uri}/{name}") for name in store.keys(_MERGED)}
    return merge([groups[prefix] for prefix in sorted(groups)])


def merge(groups: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """One series from those of successive groups."""
    merged: list[dict[str, Any]] = []
    for group in groups:
        steps = sorted(group, key=lambda line: line["step"])
        if steps:
            merged = [line for line in merged if line["step"] < steps[0]["step"]] + steps
    return merged


def to_lines(lines: Sequence[Line]) -> bytes:
    """JSON lines."""
    return "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines).encode()


def _steps(data: bytes, where: str) -> list[dict[str, Any]]:
    try:
        lines: list[object] = [json.loads(line) for line in data.splitlines()]
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: wanted JSON lines, found {data[:40]!r}") from error
    for line in lines:
        step = cast("dict[str, object]", line).get("step", 0) if isinstance(line, dict) else None
        if not isinstance(step, int):
            raise BadInput(f"{where}: wanted JSON objects with a whole 'step', found {shown(cast(object, line))}")
    return [line for line in cast("list[dict[str, Any]]", lines) if "step" in line]
