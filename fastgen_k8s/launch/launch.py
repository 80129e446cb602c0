"""A job as data: what its agents are told, and whether a pod on another machine could do it.

Every renderer reads this and nothing else; a stage is told by arguments and environment, the same everywhere.
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from fastgen_k8s.artifacts.address import is_remote
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.launch.resources import Resource, resource
from fastgen_k8s.pipeline.kinds import KINDS
from fastgen_k8s.pipeline.work import GRACE, Execution, Placement, Work, check_processes, check_world

AGENT = "fastgen_k8s.agent"
_WORDS = 33  # characters; with the mark behind them 42, the most that a JobSet's pods leave to its name
_SHIPPED = "examples/"  # below the image's working directory


@dataclass(frozen=True)
class VolumeClaim:
    """A volume that a component mounts: the claim's name, and where."""

    name: str
    path: str
    read_only: bool = False


@dataclass(frozen=True)
class Launch:
    """One agent a node, told everything by its arguments; Misdescribed when the work cannot be split so far."""

    work: Work
    placement: Placement
    execution: Execution
    image: str = ""  # what its containers run; none: a local run has none
    python: str = "python"
    given: Resource | None = None  # None: the placement's
    variables: Mapping[str, str] = field(default_factory=dict[str, str])  # of a component's own, or in place of ours
    claims: tuple[VolumeClaim, ...] = ()

    def __post_init__(self) -> None:
        """Look at what no field says alone."""
        check_world(self.work, self.placement)
        check_processes(self.placement, self.resource.gpu)

    @property
    def resource(self) -> Resource:
        """What an agent's node offers; Misdescribed for a name that there is not."""
        return self.given or resource(self.placement.resource)

    @property
    def argv(self) -> list[str]:
        """An agent's arguments: the work, the micro-batch, the habits."""
        micro = ["--micro-batch", str(self.placement.micro_batch)] if self.placement.micro_batch else []
        return [*self.work.argv(), *micro, *self.execution.argv()]

    @property
    def environment(self) -> dict[str, str]:
        """An agent's variables: how many workers it starts and how agents meet (torchrun's PET_), and those given."""
        found = {
            "OMP_NUM_THREADS": "1",  # OpenMP barriers of several busy processes spin against each other
            "PET_NNODES": self.placement.nodes,
            "PET_NPROC_PER_NODE": str(self.placement.processes),
        }
        if self.placement.max_nodes > 1:
            found |= {
                "PET_RDZV_BACKEND": "c10d",
                "PET_RDZV_ID": f"{name(self.work)}-{_mark(self.work):08x}",
                "PET_RDZV_ENDPOINT": f"localhost:{_port(self.work)}",  # a cluster's renderer puts its own in place
            }
        return found | {GRACE: str(self.placement.grace)} | dict(self.variables)

    @property
    def meets(self) -> bool:
        """Whether agents work together in one process group, and need a place to meet."""
        return self.placement.max_nodes > 1 and KINDS[self.work.kind].elastic

    def check_shared(self) -> None:
        """Raise Misdescribed for a place or an image that a pod on another machine could not reach."""
        mounts = [f"{claim.path.rstrip('/')}/" for claim in self.claims]
        reached = {"output": mounts} | {name: [*mounts, _SHIPPED] for name in self.work.inputs}
        for name, place in {**self.work.inputs, "output": self.work.output}.items():
            if not is_remote(place) and not f"{place.removeprefix('file://')}/".startswith(
                tuple(reached[name]) or ("\0",)
            ):
                raise Misdescribed(f"{name}: wanted a place that every pod reaches (s3://...), found {place!r}")
        check_image(self.image)


def check_image(image: str) -> None:
    """Raise Misdescribed for no image, and for one whose content may change under its name."""
    check_given(image)
    tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
    if "@sha256:" not in image and tag in ("", "latest"):
        raise Misdescribed(f"image: wanted a tag of its own (not latest) or a digest, found {image!r}")


def check_given(image: str) -> None:
    """Raise Misdescribed for no image."""
    if not image:
        raise Misdescribed("image: wanted what the job's containers run (--image, or FASTGEN_IMAGE), found none")


def escaped(word: str) -> str:
    """A word for a reader to whom `$` begins the name of something and `$$` is a dollar: TorchX, and the kubelet."""
    return word.replace("$", "$$")


def job_name(work: Work, given: str | None = None) -> str:
    """The name of a work's job in a cluster: the given one, or one made of what runs and where it writes to."""
    return given or f"{name(work)[:_WORDS].rstrip('-')}-{_mark(work):08x}"


def name(work: Work) -> str:
    """A DNS label that says what runs."""
    return re.sub(r"[^a-z0-9]+", "-", f"{work.kind}-{work.experiment}".lower()).strip("-")


def _port(work: Work) -> int:
    """A port for agents of one machine: a function of the output, below the range that systems hand out."""
    return 20_000 + _mark(work) % 10_000


def _mark(work: Work) -> int:
    return zlib.crc32(work.output.encode())
