"""What a run came to, as JSON lines in segments beside the artifact, one series for each group of processes.

`log/<prefix>/<first step>.jsonl` holds the steps from `first step` on that one group trained; the prefixes of later
groups sort after those of earlier ones. A later group may repeat steps whose checkpoint was lost: its lines count.
"""

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, cast

from fastgen_k8s.artifacts import Store
from fastgen_k8s.errors import BadInput, Misdescribed

FOLDER = "log"
_MERGED, _EVENTS = "metrics-", "tensorboard"
_SEGMENT_LINES = 1000  # a segment is written whole each time, so it must not grow without end

Line = Mapping[str, Any]
"""One step: "step", "total" and the method's terms, "norm/<role>", "lr/<role>"; or an event, without a step."""


class Log:
    """The lines of one group of processes."""

    def __init__(self, store: Store, prefix: str) -> None:
        self.store, self.prefix = store, prefix
        self._segment: list[Line] = []
        self._first = 0
        self._written = 0

    def add(self, step: int, line: Line) -> None:
        """Remember a line; `write` puts it where others see it."""
        if not self._segment or self.full:
            self.write()
            self._segment, self._first, self._written = [], step, 0
        self._segment.append(line)

    @property
    def full(self) -> bool:
        """Whether the next line begins a new segment, before which the present one is written."""
        return len(self._segment) >= _SEGMENT_LINES

    def write(self) -> None:
        """Put the current segment if it has grown since `write` did so last."""
        if len(self._segment) > self._written:
            self.store.put(*self.segment())
            self._written = len(self._segment)

    def segment(self) -> tuple[str, bytes]:
        """Where the current segment goes, and what it holds now."""
        return f"{FOLDER}/{self.prefix}/{self._first:08d}.jsonl", to_lines(self._segment)


def merged_file(prefix: str) -> str:
    """Where the group that ended a run puts all of its steps, as part of the artifact."""
    return f"{_MERGED}{prefix}.jsonl"


def read_metrics(store: Store) -> list[dict[str, Any]]:
    """The steps of a run in order, from all segments: a later group overrides from its first step on.

    Where the segments are gone, as in a copy of an artifact, its own file counts.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for name in store.keys(f"{FOLDER}/"):
        prefix = name.split("/")[1]
        groups.setdefault(prefix, []).extend(_steps(store.read(name), f"{store.uri}/{name}"))
    if not groups:
        groups = {name: _steps(store.read(name), f"{store.uri}/{name}") for name in store.keys(_MERGED)}
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
            raise BadInput(f"{where}: wanted JSON objects with a whole 'step', found {str(cast(object, line))[:40]!r}")
    return [line for line in cast("list[dict[str, Any]]", lines) if "step" in line]


class Events:
    """The event files of one group of processes, written by a library and put to the store as they grow."""

    def __init__(self, store: Store, prefix: str) -> None:
        self.store, self.prefix = store, f"{_EVENTS}/{prefix}"
        self._put: dict[str, int] = {}  # sizes

    def mirror(self) -> None:
        """Put the files that have grown."""
        folder = self.store.draft("") / self.prefix
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            size = path.stat().st_size
            if path.is_file() and self._put.get(path.name) != size:
                self.store.upload(f"{self.prefix}/{path.relative_to(folder).as_posix()}", path)
                self._put[path.name] = size


class Tracker(Protocol):
    """Somewhere else that scalars go to."""

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Record the scalars of a step."""
        ...

    def close(self) -> None:
        """Write what is still held."""
        ...


def check_trackers(names: Sequence[str]) -> None:
    """Raise Misdescribed for a tracker that is not installed."""
    for name in names:
        if find_spec(name) is None:
            raise Misdescribed(f"the tracker {name!r} wants the package {name}, found none")


def open_trackers(names: Sequence[str], folder: Path, run: str, work: str) -> list[Tracker]:
    """The wanted trackers of one of the groups (`run`) that train a work; Misdescribed when one is not installed."""
    check_trackers(names)
    makers = {"tensorboard": _tensorboard, "wandb": _wandb}
    return [makers[name](folder, run, work) for name in names]


def _tensorboard(folder: Path, run: str, work: str) -> Tracker:
    from torch.utils.tensorboard.writer import SummaryWriter  # takes a second, and only rank 0 needs it

    return _TensorBoard(SummaryWriter(str(folder / _EVENTS / run)))


def _wandb(folder: Path, run: str, work: str) -> Tracker:
    import wandb  # pyright: ignore[reportMissingImports]

    return _WandB(wandb.init(dir=str(folder), name=run, id=work, resume="allow"))  # pyright: ignore


class _TensorBoard:
    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _WandB:
    def __init__(self, run: Any) -> None:
        self._run = run

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        self._run.log(dict(scalars), step=step)

    def close(self) -> None:
        self._run.finish()
