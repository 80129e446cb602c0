"""One stage's work: what is computed from what, its digest, and how it is written as a command line."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Literal, Self, cast

from pydantic import Field, field_validator, model_validator
from pydantic.config import JsonDict

from fastgen_k8s.artifacts.address import expanded
from fastgen_k8s.artifacts.names import Sha256
from fastgen_k8s.artifacts.single import find_input
from fastgen_k8s.config import Config, digest
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.experiments.keymap import refuse_seed_names
from fastgen_k8s.experiments.schema import Experiment
from fastgen_k8s.pipeline.described import Described
from fastgen_k8s.pipeline.kinds import KINDS, Kind
from fastgen_k8s.pipeline.reading import as_read
from fastgen_k8s.printable import shown


class Work(Config):
    """One stage: kind, experiment, overrides, inputs {name: uri}, output uri."""

    kind: Kind
    experiment: str
    overrides: tuple[str, ...] = ()
    inputs: Mapping[str, str] = {}
    output: str
    expect_digest: str | None = None  # what the planner resolved it to
    expect_inputs: Mapping[str, Sha256] = {}  # of an input's artifact.json, or of its file, as the planner saw it

    @field_validator("inputs", mode="after")
    @classmethod
    def _found_here(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        return {name: expanded(uri) for name, uri in value.items()}

    @field_validator("output", mode="after")
    @classmethod
    def _goes_here(cls, value: str) -> str:
        return expanded(value)

    @model_validator(mode="after")
    def _expects_its_own(self) -> Self:
        unknown = next((name for name in self.expect_inputs if name not in self.inputs), None)
        if unknown is not None:
            raise ValueError(f"wanted a sha256 of one of the inputs {', '.join(self.inputs)}, found that of {unknown}")
        return self

    def resolve(self) -> Experiment:
        """The experiment with its overrides; Misdescribed when one does not fit."""
        return _resolved(self.experiment, self.overrides)

    def argv(self) -> list[str]:
        """The work as the command line that every scheduler runs."""
        words = ["--kind", self.kind, "--experiment", self.experiment]
        words += [word for setting in self.overrides for word in ("--set", setting)]
        words += [word for name, uri in sorted(self.inputs.items()) for word in ("--input", f"{name}={uri}")]
        words += ["--output", self.output]
        words += ["--expect-digest", self.expect_digest] if self.expect_digest else []
        expected = sorted(self.expect_inputs.items())
        return words + [word for name, sha256 in expected for word in ("--expect-input", f"{name}={sha256}")]

    def check_input(self, name: str, sha256: str) -> None:
        """Raise BadInput for an input that is not the one that the planner saw."""
        wanted = self.expect_inputs.get(name, sha256)
        if sha256 != wanted:
            raise BadInput(
                f"input {name}: {self.inputs[name]}: wanted what was there when this was planned, sha256 {wanted}, "
                f"found {sha256}"
            )


@lru_cache(maxsize=256)  # each stage asks several times, and pipelines are often alike
def _resolved(name: str, overrides: tuple[str, ...]) -> Experiment:
    experiment = get_experiment(name)
    refuse_seed_names(overrides, experiment.settings())
    return experiment.override(*overrides)


GRACE = "TORCH_ELASTIC_SHUTDOWN_TIMEOUT"  # variable with an agent's grace for its workers; torchrun's own name
_NODES: JsonDict = {"x-kubernetes-int-or-string": True, "minimum": 1, "maximum": 9999}


class Placement(Described):
    """Where a stage runs and how big; never hashed."""

    nodes: Annotated[
        str, Field(pattern=r"^[1-9][0-9]{0,3}(:[1-9][0-9]{0,3})?$", max_length=9, json_schema_extra=_NODES)
    ] = "1"  # count, or min:max
    processes: Annotated[int, Field(gt=0, le=1024)] = 1  # per node
    micro_batch: Annotated[int, Field(gt=0, le=65_536)] | None = None  # per process; None: its share of global_batch
    resource: Annotated[str, Field(max_length=63)] | None = None
    pool: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)] | None = None  # of nodes
    grace: Annotated[int, Field(gt=0, le=86_400)] = 60  # seconds for a step and a checkpoint after SIGTERM

    @field_validator("nodes", mode="before")
    @classmethod
    def _counts(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("nodes")
    @classmethod
    def _ascends(cls, value: str) -> str:
        low, _, high = value.partition(":")
        if high and int(low) > int(high):
            raise ValueError(f"wanted min:max nodes, found min {low} above max {high}")
        return value

    @property
    def min_nodes(self) -> int:
        """The smallest number of nodes that a job may run on."""
        return int(self.nodes.partition(":")[0])

    @property
    def max_nodes(self) -> int:
        """The largest number of nodes that a job may run on."""
        return int(self.nodes.rpartition(":")[2])


class Execution(Described):
    """Habits of a run; never hashed."""

    log_every: Annotated[int, Field(gt=0, le=1_000_000)] = 10  # steps
    save_every: Annotated[int, Field(ge=0, le=1_000_000)] = 100  # steps; 0: at the end only
    keep: Annotated[int, Field(gt=0, le=10_000)] = 2  # newest checkpoints
    trackers: Annotated[tuple[Literal["tensorboard", "wandb"], ...], Field(max_length=8)] = ("tensorboard",)
    collective_timeout: Annotated[int, Field(gt=0, le=86_400)] = 60  # seconds after which a peer counts as lost

    def argv(self) -> list[str]:
        """The flags that differ from the defaults."""
        words: list[str] = []
        for name, value in self.canonical().items():
            text = ",".join(self.trackers) if name == "trackers" else str(value)
            words += [f"--{name.replace('_', '-')}", text]
        return words


def sections(kind: Kind, experiment: Experiment) -> dict[str, object]:
    """The canonical form of what a stage of this kind reads from the experiment."""
    whole = experiment.canonical()
    return {section: _at(whole, section) for section in KINDS[kind].reads}


def reads(kind: Kind, key: str) -> bool:
    """Whether a stage of this kind reads a dotted key of the experiment, or part of it."""
    return any(f"{key}.".startswith(f"{section}.") or section.startswith(f"{key}.") for section in KINDS[kind].reads)


def check_read(kinds: Sequence[Kind], overrides: Sequence[str]) -> None:
    """Raise Misdescribed for an override that no stage of these kinds reads, and that would do nothing."""
    for setting in overrides:
        if not any(reads(kind, setting.partition("=")[0].strip()) for kind in kinds):
            known = ", ".join(dict.fromkeys(section for kind in kinds for section in KINDS[kind].reads))
            raise Misdescribed(f"override {shown(setting)}: a {kinds[0]} stage reads {known}, and nothing else")


def work_digest(kind: Kind, experiment: Experiment, inputs: Mapping[str, str]) -> str:
    """Digest of a work from its resolved experiment and its inputs' digests."""
    return digest(
        {
            "kind": kind,
            "recipe": KINDS[kind].recipe,
            "sections": sections(kind, experiment),
            "inputs": dict(inputs),
        }
    )


def known_input(kind: Kind, name: str) -> None:
    """Raise Misdescribed when a stage of this kind has no input of that name."""
    if not name or "=" in name:
        raise Misdescribed(f"wanted an input's name without '=', found {name!r}")
    known = KINDS[kind].inputs
    if known and name not in known:
        raise Misdescribed(f"a {kind} stage has no input {name!r}: it knows {', '.join(known)}")


def resolve_inputs(work: Work) -> dict[str, str]:
    """The digest of every input of a work; Misdescribed for a name that its kind does not know, BadInput for
    an input that is not there or is not the one that the planner saw.
    """
    for name in work.inputs:
        known_input(work.kind, name)
    experiment, found = work.resolve(), {name: find_input(uri) for name, uri in sorted(work.inputs.items())}
    for name, one in found.items():
        work.check_input(name, one.sha256)
    return {name: as_read(work.kind, experiment, name, work.inputs[name], one).digest for name, one in found.items()}


def _at(data: Mapping[str, object], dotted: str) -> object:
    section, _, rest = dotted.partition(".")
    value = data.get(section)
    return _at(cast("Mapping[str, object]", value), rest) if rest and isinstance(value, dict) else value


def checked_digest(work: Work, experiment: Experiment, inputs: Mapping[str, str]) -> str:
    """The work's digest; Misdescribed when it is not the one that the planner expects."""
    found = work_digest(work.kind, experiment, inputs)
    if work.expect_digest not in (None, found):
        raise Misdescribed(
            f"{work.kind} of {work.experiment}: wanted digest {work.expect_digest}, "
            f"this code and these inputs give {found}"
        )
    return found


def check_world(work: Work, placement: Placement) -> None:
    """Raise Misdescribed for more processes, at the placement's largest, than the global batch has samples."""
    world, batch = placement.max_nodes * placement.processes, work.resolve().train.global_batch
    if KINDS[work.kind].elastic and world > batch:
        raise Misdescribed(
            f"{work.experiment}: wanted at most train.global_batch = {batch} processes, "
            f"found {world} ({placement.max_nodes} nodes x {placement.processes})"
        )


def check_processes(placement: Placement, gpus: int) -> None:
    """Raise Misdescribed for more processes on a node than it has GPUs, where it has any."""
    if gpus and placement.processes > gpus:
        raise Misdescribed(
            f"placement: wanted at most {gpus} processes on a node of resource {placement.resource!r} (one a GPU), "
            f"found {placement.processes}"
        )


def parse_inputs(words: Sequence[str]) -> dict[str, str]:
    """Inputs written as name=uri."""
    pairs = [word.partition("=") for word in words]
    for name, separator, uri in pairs:
        if not (name and separator and uri):
            raise Misdescribed(f"an input is name=uri, found {shown(name + separator + uri)}")
    names = [name for name, _, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Misdescribed(f"wanted each input once, found {twice!r} twice")
    return {name: uri for name, _, uri in pairs}
