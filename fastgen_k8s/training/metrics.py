"""What a run tells as it goes: JSON lines in segments beside the artifact, event files, and trackers elsewhere."""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, cast

from fastgen_k8s.artifacts import Cached, FileEntry, Store
from fastgen_k8s.artifacts.metrics import Line, segment_file, to_lines
from fastgen_k8s.errors import Misdescribed

_EVENTS = "tensorboard"
_SEGMENT_LINES = 1000  # a segment is written whole each time, so it must not grow without end


class StepLog:
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
        return segment_file(self.prefix, self._first), to_lines(self._segment)


class Events:
    """The event files of one group of processes, written by a library and put to the store as they grow."""

    def __init__(self, store: Store, prefix: str) -> None:
        self.store, self.prefix = store, f"{_EVENTS}/{prefix}"
        self._put: dict[str, int] = {}  # sizes

    def mirror(self) -> None:
        """Put the files that have grown."""
        folder = Cached(self.store).draft("") / self.prefix
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            size = path.stat().st_size
            if path.is_file() and self._put.get(path.name) != size:
                name = path.relative_to(folder).as_posix()
                self.store.upload(f"{self.prefix}/{name}", path, FileEntry.of_file(path))
                self._put[path.name] = size


class Tracker(NamedTuple):
    """Somewhere else that scalars go to."""

    add: Callable[[int, Mapping[str, float]], object]  # the scalars of a step
    close: Callable[[], object]  # writes what is still held


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

    writer = cast("Any", SummaryWriter(str(folder / _EVENTS / run)))

    def add(step: int, scalars: Mapping[str, float]) -> None:
        for name, value in scalars.items():
            writer.add_scalar(name, value, step)

    return Tracker(add, writer.close)


def _wandb(folder: Path, run: str, work: str) -> Tracker:
    import wandb  # pyright: ignore[reportMissingImports]

    begun = cast("Any", wandb.init(dir=str(folder), name=run, id=work, resume="allow"))  # pyright: ignore

    def add(step: int, scalars: Mapping[str, float]) -> None:
        begun.log(dict(scalars), step=step)

    return Tracker(add, begun.finish)
