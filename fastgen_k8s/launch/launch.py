"""A job as data, and whether a pod on another machine could do it. Every renderer reads this and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastgen_k8s.artifacts.address import is_remote
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.launch.command import argv, environment
from fastgen_k8s.launch.resources import Resource, resource
from fastgen_k8s.pipeline.kinds import KINDS
from fastgen_k8s.pipeline.work import Execution, Placement, Work, check_processes, check_world

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
        """An agent's arguments."""
        return argv(self.work, self.placement, self.execution)

    @property
    def environment(self) -> dict[str, str]:
        """An agent's variables."""
        return environment(self.work, self.placement) | dict(self.variables)

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
