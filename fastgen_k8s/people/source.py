"""Where a pipeline is looked at: the same questions to a cluster and to a root."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fastgen_k8s.config import nearest
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.printable import last_drawn
from fastgen_k8s.view.rows import StageRow


class Said(NamedTuple):
    """A line of a log, as it was written."""

    replica: str
    text: str

    def __str__(self) -> str:
        """Behind its replica's name, with nothing in it that a terminal obeys."""
        return f"{self.replica} {last_drawn(self.text)}"


@dataclass(frozen=True)
class StageLog:
    """What the processes of a stage's last attempt say."""

    lines: Iterable[Said] = ()
    lost: str = ""  # in words: what of it is gone


def is_root(given: str, namespace: str | None) -> bool:
    """Whether a person means a place and not the name of a pipeline in a cluster."""
    return namespace is None and ("/" in given or Path(given).is_dir())


def pick(rows: Sequence[StageRow], asked: str | None) -> StageRow:
    """The stage that is asked for, else the one that runs, else the one that failed, else the one that ran last."""
    if asked is not None:
        found = next((row for row in rows if row.stage == asked), None)
        if found is None:
            raise Misdescribed(f"unknown stage {asked!r}: {nearest(asked, [row.stage for row in rows])}")
        return found
    for state in ("running", "stopping", "queued", "failed"):
        found = next((row for row in rows if row.state == state), None)
        if found is not None:
            return found
    ran = [row for row in rows if row.attempt]
    if not ran:
        raise BadInput("wanted a stage that runs or ran, found none")
    return ran[-1]
