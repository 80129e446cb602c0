"""What a cluster holds of a pipeline: jobs and pods below them, read from plain objects trimmed to what counts.

A job carries the pipeline's uid as its owner, and stage, attempt and digest as labels, so that a controller that
knows nothing yet finds its own again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fastgen_k8s.controller.form import Form, read_form
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.cluster import GROUP
from fastgen_k8s.launch.jobs import Backend
from fastgen_k8s.launch.outcome import CANCELLED, COMPONENT, ENDED, JobState, condition_of, controller, count, owns
from fastgen_k8s.launch.pod import TRAINER
from fastgen_k8s.lifecycle.status import seconds

PIPELINE, STAGE, ATTEMPT, DIGEST = (f"{GROUP}/{word}" for word in ("pipeline", "pipeline-stage", "attempt", "digest"))
JOB = f"{GROUP}/job"
FORM = f"{GROUP}/made-with"  # annotation of a job: what no digest knows of it
RETRY = f"{GROUP}/retry"  # annotation of a pipeline: the stage to try again, and when that was asked for
_META = ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp")
_POD = ("phase", "conditions", "containerStatuses")


@dataclass(frozen=True)
class Child:
    """A job of a pipeline as the cluster shows it."""

    backend: Backend
    name: str
    uid: str
    stage: str
    attempt: int
    digest: str  # first 16 of its work's
    state: JobState
    suspended: bool
    leaving: bool  # asked to go
    created: float  # seconds since 1970, on the API server's clock
    said: str
    pods: tuple[Object, ...] = ()
    form: Form | None = None  # None: an earlier version made it

    @property
    def ended(self) -> bool:
        """Whether it will change no more."""
        return self.state in ENDED

    @property
    def cancelled(self) -> bool:
        """Whether it was ended for good by somebody else's hand."""
        return self.state == JobState.CANCELLED

    @property
    def ready(self) -> int:
        """How many of its trainers work."""
        trainers = (pod for pod in self.pods if pod["metadata"]["labels"].get(COMPONENT) == TRAINER)
        return sum(condition_of(pod, "Ready", "True") is not None for pod in trainers)


def keep_pipeline(found: Object) -> Object:
    """A pipeline without what nobody reads."""
    annotations = found["metadata"].get("annotations", {})
    meta = _meta(found) | {"annotations": {name: annotations[name] for name in (RETRY,) if name in annotations}}
    return {"metadata": meta, "spec": found.get("spec", {}), "status": found.get("status", {})}


def keep_job(found: Object) -> Object:
    """A JobSet, or a Job of Volcano, without its templates."""
    meta = found["metadata"]
    ours = {name: value for name, value in meta.get("labels", {}).items() if name.startswith(GROUP)}
    marks = {name: value for name, value in meta.get("annotations", {}).items() if name in (CANCELLED, FORM)}
    kept = _meta(found) | {"labels": ours, "annotations": marks, "ownerReferences": meta.get("ownerReferences", [])}
    spec = {"suspend": found.get("spec", {}).get("suspend", False)}
    return {"metadata": kept, "spec": spec, "status": found.get("status", {})}


def keep_pod(found: Object) -> Object:
    """A pod's labels, owner, place, state, and the memory that its container may have."""
    spec, status = found.get("spec", {}), found.get("status", {})
    limits = [one.get("resources", {}).get("limits", {}) for one in spec.get("containers", ())]
    meta = _meta(found) | {"labels": found["metadata"].get("labels", {}), "ownerReferences": _controllers(found)}
    containers = [{"resources": {"limits": {"memory": one["memory"]} if "memory" in one else {}}} for one in limits]
    kept = {"containers": containers} | ({"nodeName": spec["nodeName"]} if "nodeName" in spec else {})
    return {"metadata": meta, "spec": kept, "status": {name: status[name] for name in _POD if name in status}}


def keep_workload(found: Object) -> Object:
    """Kueue's view of a job: which it is, and what it waits for."""
    meta = _meta(found) | {"labels": found["metadata"].get("labels", {})}
    return {"metadata": meta, "spec": {}, "status": {"conditions": found.get("status", {}).get("conditions", [])}}


def owner(found: Object) -> str | None:
    """The uid of the pipeline that a job belongs to."""
    owners = found["metadata"].get("ownerReferences", ())
    return next((str(one["uid"]) for one in owners if str(one["apiVersion"]).startswith(f"{GROUP}/")), None)


def child(job: Object, pods: Iterable[Object], backend: Backend) -> Child | None:
    """A job and those of some pods that are its own; None for one that says of no attempt that it is that."""
    meta = job["metadata"]
    labels: Mapping[str, str] = meta.get("labels", {})
    attempt = count(labels.get(ATTEMPT))
    if attempt is None:
        return None
    return Child(
        backend=backend,
        name=meta["name"],
        uid=meta["uid"],
        stage=labels.get(STAGE, ""),
        attempt=attempt,
        digest=labels.get(DIGEST, ""),
        state=backend.state(job),
        suspended=bool(job["spec"].get("suspend")),
        leaving="deletionTimestamp" in meta,
        created=seconds(meta["creationTimestamp"]),
        said=backend.said(job),
        pods=tuple(pod for pod in pods if owns(meta["name"], pod, meta["uid"])),
        form=read_form(meta.get("annotations", {}).get(FORM)),
    )


def _meta(found: Object) -> Object:
    return {name: found["metadata"][name] for name in _META if name in found["metadata"]}


def _controllers(found: Object) -> list[Object]:
    """Who has made an object, as `owns` wants to know it."""
    maker = controller(found)
    kept = ("apiVersion", "kind", "name", "uid", "controller")
    return [] if maker is None else [{name: maker[name] for name in kept}]
