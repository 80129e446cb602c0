"""A stage's work, resolved: what every stage is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fastgen_k8s.artifacts import Artifact, FileEntry, Manifest, Writer, begin, find_artifact
from fastgen_k8s.artifacts.artifact import of_kind
from fastgen_k8s.artifacts.single import find_file, find_folder
from fastgen_k8s.config import digest
from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments.schema import Experiment
from fastgen_k8s.pipeline.argv import parse
from fastgen_k8s.pipeline.kinds import KINDS
from fastgen_k8s.pipeline.work import Execution, Work, checked_digest, resolve_inputs


@dataclass(frozen=True)
class StageJob:
    """One stage's work with everything resolved."""

    work: Work
    experiment: Experiment
    digest: str
    inputs: dict[str, str]  # name -> digest
    micro_batch: int | None
    execution: Execution

    def input(self, name: str) -> Artifact:
        """The input artifact of that name; BadInput when it is not given, not whole, or of another kind."""
        found = self.optional(name)
        if found is None:
            given = ", ".join(self.work.inputs) or "none"
            raise BadInput(f"a {self.work.kind} stage wants the input {name!r}, found {given}")
        return found

    def optional(self, name: str) -> Artifact | None:
        """The input artifact of that name, or None when it is not given."""
        uri = self.work.inputs.get(name)
        return None if uri is None else of_kind(self.find(name), uri, self._takes(name))

    def find(self, name: str) -> Artifact | None:
        """The artifact that an input is, or None for one that is a file; BadInput when it is not the expected one."""
        artifact = find_artifact(self.work.inputs[name])
        if artifact is None:
            return None
        self.work.check_input(name, artifact.sha256)
        return of_kind(artifact, self.work.inputs[name], self._takes(name))

    def file(self, name: str) -> Path | None:
        """A local file with an input that is one; None when it is none, BadInput when it is not the expected one."""
        path = find_file(self.work.inputs[name])
        if path is not None and name in self.work.expect_inputs:
            self.work.check_input(name, FileEntry.of_file(path).sha256)
        return path

    def weights(self, name: str) -> Path | None:
        """A local file or DCP folder with an input that is one; None and BadInput as `file`."""
        path = self.file(name)
        if path is not None:
            return path
        folder = find_folder(self.work.inputs[name])
        if folder is None:
            return None
        self.work.check_input(name, folder.digest)
        return folder.path

    def _takes(self, name: str) -> Sequence[str]:
        return KINDS[self.work.kind].takes(name)

    def begin(self) -> Writer:
        """Claim the output; BadInput when it belongs to another digest."""
        return begin(self.work.output, KINDS[self.work.kind].makes, self.digest, self.inputs)


def teacher_folder(job: StageJob) -> Path | None:
    """The diffusers folder of the input `teacher`; None where the experiment's model reads none."""
    return job.input("teacher").folder() if job.experiment.model.parts else None


def teacher_digest(job: StageJob) -> str:
    """What tells one teacher from another: the digest of its artifact, or of its closed form."""
    model = job.experiment.model
    return job.input("teacher").manifest.digest if model.parts else digest(model.family.canonical())


def student_origin(job: StageJob) -> str:
    """What a training's student is before the first step, for its log."""
    teacher = "its teacher" if job.experiment.model.parts and "teacher" in job.work.inputs else "random weights"
    return job.work.inputs.get("student", teacher)


class StageModule(Protocol):
    """What each module of this package offers."""

    def check(self, job: StageJob) -> None:
        """Raise what is wrong with the work and its inputs, before any worker starts; writes nothing."""
        ...

    def run(self, job: StageJob) -> Manifest:
        """Do the work to the end; return the committed manifest."""
        ...


def resolve(argv: Sequence[str]) -> StageJob:
    """The job that a stage's command line describes."""
    work, micro_batch, execution = parse(argv)
    experiment, inputs = work.resolve(), resolve_inputs(work)
    return StageJob(work, experiment, checked_digest(work, experiment, inputs), inputs, micro_batch, execution)
