"""Where a run goes: the place of its artifacts, and the folder on this machine for its lock and logs."""

from dataclasses import dataclass
from pathlib import Path

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.artifacts.address import expanded, is_remote, path_of
from fastgen_k8s.artifacts.cache import cache_folder
from fastgen_k8s.config import digest


@dataclass(frozen=True)
class Root:
    """A folder, or a prefix of a bucket with a folder beside it."""

    uri: str  # one spelling: a stage left behind is recognised by its output
    here: Path

    @classmethod
    def parse(cls, given: str) -> "Root":
        """The root that a person gave; Misdescribed when it can be none.

        The lock of a bucket's root holds on this machine only. Two runners on two machines break nothing, for every
        artifact has one winner; they may do the same work twice.
        """
        given = expanded(given)
        store_at(given)
        if is_remote(given):
            return cls(given, cache_folder() / "runs" / digest(given)[:16])
        place = path_of(given).resolve()
        return cls(str(place), place)

    def logs(self, stage: str) -> Path:
        """Where the scheduler puts the logs of a stage's jobs: a stage's name has no dot, so no stage is called so."""
        return self.here / "run.logs" / stage

    @property
    def remote(self) -> bool:
        """Whether its artifacts are not on this machine."""
        return is_remote(self.uri)
