"""A pipeline in a cluster, looked at and listened to."""
# pyright: reportMissingTypeStubs=false

from datetime import datetime

from fastgen_k8s.controller.job import BACKENDS
from fastgen_k8s.errors import BadInput
from fastgen_k8s.launch.jobs import ClusterJobs
from fastgen_k8s.launch.outcome import number
from fastgen_k8s.lifecycle.status import LIVE, StageStatus, Status
from fastgen_k8s.people import pods
from fastgen_k8s.people.pipelines import Pipelines
from fastgen_k8s.people.present import status_of, view
from fastgen_k8s.people.source import StageLog
from fastgen_k8s.pipeline.resolve import place
from fastgen_k8s.view.rows import PipelineView


class ClusterPipeline:
    """One pipeline of a namespace."""

    def __init__(self, pipelines: Pipelines, name: str) -> None:
        self._pipelines, self._name = pipelines, name

    def look(self) -> PipelineView:
        """How it stands now."""
        return view(self._pipelines.get(self._name), datetime.now().astimezone())

    def log(self, stage: str, follow: bool) -> StageLog:
        """What the trainers of a stage's last job say; BadInput when they have not begun."""
        found = self._pipelines.get(self._name)
        seen = _stage(status_of(found), stage)
        if seen.job is None:
            return StageLog(lost="it has no pods")
        jobs = ClusterJobs(self._pipelines.api, BACKENDS[found["spec"].get("backend", "jobset")])
        where = self._pipelines.namespace, seen.job
        there = pods.working(jobs.pods(*where))
        if seen.state in LIVE and follow:
            return StageLog(pods.follow(jobs, *where))
        if seen.state in LIVE and not there:
            why = f": {seen.message}" if seen.message else ""
            raise BadInput(f"stage {stage}: wanted pods at work, found it {seen.state.lower()}{why}")
        if not there:
            return StageLog(lost="its pods are gone")
        # A job ends with its first trainer, and the pods of the others go: also of the one that told of the steps.
        some = seen.state not in LIVE and len(set(map(number, there))) < seen.nodes
        return StageLog(pods.read(jobs, *where), "some of its pods are gone" if some else "")

    def place(self, stage: str) -> str:
        """Where the stage puts its artifact in this generation."""
        found = self._pipelines.get(self._name)
        status = status_of(found)
        artifact, digest = _stage(status, stage).artifact, status.digests.get(stage)
        if artifact is None and digest is None:
            raise BadInput(f"stage {stage}: wanted a place of its artifact, found none: no controller has resolved it")
        return artifact or place(found["spec"]["root"], stage, digest or "")


def _stage(status: Status, name: str) -> StageStatus:
    return next((stage for stage in status.stages if stage.name == name), StageStatus(name=name))
