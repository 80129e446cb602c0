"""One look at a pipeline: what its jobs, their pods and the store say of each stage, read only as far as needed."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import structlog

from fastgen_k8s.artifacts import Artifact
from fastgen_k8s.controller.accept import Accepted
from fastgen_k8s.controller.children import JOB, Child, child, keep_job, keep_pod
from fastgen_k8s.controller.form import difference, form_of
from fastgen_k8s.controller.job import BACKENDS, job_name
from fastgen_k8s.controller.readings import Readings
from fastgen_k8s.controller.refusals import Refusals
from fastgen_k8s.controller.store import Artifacts
from fastgen_k8s.controller.view import ClusterView
from fastgen_k8s.controller.waiting import Waits, why
from fastgen_k8s.errors import FastgenError, OutOfMemory
from fastgen_k8s.kube.connection import Connection
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.jobs import Backend
from fastgen_k8s.launch.outcome import JobState, controller, exit_code, owns, replicas
from fastgen_k8s.lifecycle.fold import Look
from fastgen_k8s.lifecycle.status import LIVE, SETTLED, Outcome, StageStatus, seconds
from fastgen_k8s.pipeline.spec import Stage

_PATIENCE = 5.0  # seconds that the pods of a job may take to be made before somebody asks why

log = structlog.get_logger()


class Looking:
    """Looks at pipelines; the progress of a stage is read when that is wanted."""

    def __init__(self, view: ClusterView, connection: Connection, artifacts: Artifacts) -> None:
        self._view, self._connection, self._artifacts = view, connection, artifacts
        self._refusals = Refusals(connection)
        self.readings = Readings()

    def looks(
        self,
        found: Object,
        accepted: Accepted,
        stages: Mapping[str, StageStatus],
        children: Iterable[Child],
        now: float,
    ) -> dict[str, Look]:
        """What is found of every stage; a FastgenError when the store does not say."""
        newest = {one.stage: one for one in sorted(children, key=lambda one: one.attempt)}
        done: set[str] = set()
        looks: dict[str, Look] = {}
        for stage in accepted.pipeline.stages:
            status, job = stages[stage.name], newest.get(stage.name)
            ready = all(earlier in done for earlier in accepted.pipeline.before(stage))
            if status.state in SETTLED:
                look = Look(job)
            elif status.state in LIVE or (job is not None and job.attempt > status.attempt):
                look = self._live(found, accepted, status, job, now)
            elif ready:
                look = self._startable(found, accepted, status, job, now)
            else:
                look = Look(job)
            looks[stage.name] = look
            done |= {stage.name} if status.state == "Succeeded" or look.facts is not None else set()
        return looks

    def jobs(self, found: Object, stages: Mapping[str, StageStatus], children: Iterable[Child]) -> dict[str, Look]:
        """What is found of live stages without their settings and without the store: only their jobs."""
        newest = {one.stage: one for one in sorted(children, key=lambda one: one.attempt)}
        backend = BACKENDS.get(str(found["spec"].get("backend", "jobset")))
        looks: dict[str, Look] = {}
        for name, status in stages.items():
            job = newest.get(name)
            if status.state not in LIVE or status.job is None:
                looks[name] = Look(job)
                continue
            if job is None and backend is not None:
                job = self._find(backend, found["metadata"]["namespace"], status.job)
            pods = self._view.pods(found["metadata"]["namespace"], status.job)
            looks[name] = Look(job, lingering=backend is None or any(map(_alive, pods)), unread=True)
        return looks

    def _startable(self, found: Object, accepted: Accepted, status: StageStatus, job: Child | None, now: float) -> Look:
        """A stage that may start, unless its artifact is there.

        That may be the work of a job whose maker could not write so: it ended while a cache was behind.
        """
        artifact = self._artifacts.find(accepted.stages[status.name].output)
        if artifact is None:
            return Look(job)
        backend, name = BACKENDS[accepted.pipeline.backend], job_name(found, status.name, status.attempt + 1)
        made = self._find(backend, found["metadata"]["namespace"], name)
        return _whole(job, artifact) if made is None else self._live(found, accepted, status, made, now)

    def _live(self, found: Object, accepted: Accepted, status: StageStatus, job: Child | None, now: float) -> Look:
        """A stage with an attempt whose outcome is not known yet."""
        meta, stage = found["metadata"], accepted.stages[status.name]
        backend = BACKENDS[accepted.pipeline.backend]
        if (job is None or job.attempt < status.attempt) and status.job is not None:
            job = self._find(backend, meta["namespace"], status.job)  # a cache may be behind
        if job is None:
            lingering = any(_alive(pod) for pod in self._view.pods(meta["namespace"], status.job or ""))
            artifact = None if lingering else self._artifacts.find(stage.output)
            if artifact is not None:
                return _whole(None, artifact)
            return Look(None, lingering) if lingering else self._last_words(Look(None), status, stage.output)
        superseded = job.digest != stage.digest[:16]
        if job.ended and job.state != JobState.CANCELLED:
            if superseded:
                return Look(job, superseded=True)
            return self._last_words(self._ended(backend, meta["namespace"], stage.output, job), status, stage.output)
        waits = Waits() if job.ready else self._why(accepted, status.name, meta["namespace"], job, now)
        look = Look(
            job,
            why=waits.said,
            reason=waits.reason,
            differs=difference(job.form, form_of(accepted.pipeline, stage.stage)),
        )
        if superseded or not (job.ready or status.startedAt):
            return look
        key, stalls = (meta["namespace"], meta["name"]), _stalls(status, stage.stage)
        if not self.readings.wanted(key, status.name, now, stalls):
            return replace(look, unread=not self.readings.answered(key, status.name))
        read = self._told(look, stage.output)
        self.readings.note(key, status.name, now, answered=not read.unread)
        return read

    def _find(self, backend: Backend, namespace: str, name: str) -> Child | None:
        job = self._connection.get(backend.path(namespace, name))
        return None if job is None else child(keep_job(job), self._view.pods(namespace, name), backend)

    def _ended(self, backend: Backend, namespace: str, output: str, job: Child) -> Look:
        """A job that has ended: with its artifact, or with an outcome that its pods explain."""
        artifact = self._artifacts.find(output)
        if artifact is not None:
            return _whole(job, artifact)
        pods = [keep_pod(pod) for pod in self._list(f"/api/v1/namespaces/{namespace}/pods", job.name)]
        pods = [pod for pod in pods if owns(job.name, pod, job.uid)]
        jobs = self._list(f"/apis/batch/v1/namespaces/{namespace}/jobs", job.name)
        jobs = [one for one in jobs if (owner := controller(one)) is not None and owner["uid"] == job.uid]
        return Look(job, outcome=outcome(jobs, pods, job.said))

    def _why(self, accepted: Accepted, stage: str, namespace: str, job: Child, now: float) -> Waits:
        placement = accepted.stages[stage].stage.placement
        refused: list[str] = []
        if not job.pods and not job.suspended and now - job.created > _PATIENCE:
            refused = self._refusals(namespace, job.name)
        return why(job, placement.pool, accepted.pipeline.queue, self._view.waits(job.uid), refused)

    def _list(self, path: str, job: str) -> list[Object]:
        listed = self._connection.get(path, labelSelector=f"{JOB}={job}")
        return [] if listed is None else sorted(listed["items"], key=lambda one: one["metadata"]["creationTimestamp"])

    def _last_words(self, look: Look, status: StageStatus, output: str) -> Look:
        """A look at the end of an attempt, with what its trainers wrote after the last reading: their checkpoint."""
        over = look.facts is not None or status.startedAt is None or status.exitClass == "Superseded"
        return look if over else self._told(look, output)

    def _told(self, look: Look, output: str) -> Look:
        """A look with how far the stage is.

        A store that is away must not keep a pipeline from being suspended, and says nothing against a stage.
        """
        try:
            return look.told(self._artifacts.progress(output))
        except FastgenError as error:
            log.warning("no progress read", problem=str(error))
            return replace(look, unread=True)


def _whole(job: Child | None, artifact: Artifact) -> Look:
    """A stage whose artifact is there."""
    return Look(job, facts=artifact.manifest.facts, sha256=artifact.sha256)


def _stalls(status: StageStatus, stage: Stage) -> float | None:
    """When a stage counts as stalled, if no step is found that nobody has seen yet."""
    last, limit = status.progressedAt or status.startedAt, stage.progressDeadlineSeconds
    return None if last is None or limit is None or status.state == "Stopping" else seconds(last) + limit


def _alive(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")


def outcome(jobs: Iterable[Object], pods: Iterable[Object], said: str) -> Outcome:
    """The outcome of a job that has failed, from its Jobs and pods as they are now and from what it says itself."""
    jobs, pods = list(jobs), list(pods)
    code = exit_code(jobs, pods) or 1  # 0: it succeeded and left no artifact
    words = [one.why for one in replicas(pods) if one.code == code and one.why]
    sentence = words[-1] if words else said
    if code == OutOfMemory.code:
        sentence = f"{sentence or 'out of memory'}{_memory(pods)}"
    return Outcome.of(code, sentence.removeprefix("error: "))


def _memory(pods: Iterable[Object]) -> str:
    """The memory that the pods might have, where they say it."""
    limits = [one["resources"]["limits"].get("memory") for pod in pods for one in pod["spec"].get("containers", ())]
    return next((f" (each pod may have {limit})" for limit in limits if limit), "")
