"""A stage's attempt as a job of the cluster: the launcher's own rendering, with a name that finds it again."""

import hashlib
from dataclasses import dataclass

from fastgen_k8s.controller.children import ATTEMPT, DIGEST, FORM, PIPELINE, STAGE
from fastgen_k8s.controller.form import form_of
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.cluster import Cluster
from fastgen_k8s.launch.jobs import Backend
from fastgen_k8s.launch.jobset import JOBSET
from fastgen_k8s.launch.launch import Launch, check_image
from fastgen_k8s.launch.volcano import VOLCANO
from fastgen_k8s.pipeline.kinds import KINDS
from fastgen_k8s.pipeline.resolve import Resolved
from fastgen_k8s.pipeline.spec import API_VERSION, OBJECT_KIND, Pipeline

BACKENDS: dict[str, Backend] = {"jobset": JOBSET, "volcano": VOLCANO}
_WORDS = 33  # characters of the name before its mark: what a JobSet's pods leave to it is 42


@dataclass(frozen=True)
class Settings:
    """What a cluster gives to all jobs that the controller makes."""

    pairs_priority: str | None = None  # PriorityClass of stages that can be evicted for nothing: pairs and samples
    training_priority: str | None = None  # of the others
    pull_secrets: tuple[str, ...] = ()
    trainer_image: str | None = None  # of stages that name none, in pipelines that name none

    def __post_init__(self) -> None:
        """Raise Misdescribed for an image that no job may have."""
        if self.trainer_image is not None:
            check_image(self.trainer_image)


def job_name(found: Object, stage: str, attempt: int) -> str:
    """The name of an attempt's job: the same from every controller that ever looks at this pipeline."""
    meta = found["metadata"]
    mark = hashlib.sha256(f"{meta['uid']}/{stage}/{attempt}".encode()).hexdigest()[:8]
    words = f"{meta['name']}-{stage}"[:_WORDS].rstrip("-")
    return f"{words}-{mark}"


def job(found: Object, pipeline: Pipeline, stage: Resolved, attempt: int, settings: Settings) -> Object:
    """The job of an attempt, owned by its pipeline; Misdescribed for what a cluster cannot run."""
    meta, described = found["metadata"], stage.stage
    idempotent = KINDS[described.kind].idempotent
    cluster = Cluster.parse(
        {
            "namespace": meta["namespace"],
            "job": job_name(found, described.name, attempt),
            "queue": pipeline.queue,
            "priority_class": settings.pairs_priority if idempotent else settings.training_priority,
            "pull_secrets": settings.pull_secrets,
            "labels": {
                PIPELINE: meta["name"],
                STAGE: described.name,
                ATTEMPT: str(attempt),
                DIGEST: stage.digest[:16],
            },
        },
        "job",
    )
    image = described.image or pipeline.image or settings.trainer_image
    if not image:
        raise Misdescribed(
            "image: wanted one of the stage, the pipeline or the controller (--trainer-image), found none"
        )
    launch = Launch(stage.work, described.placement, described.execution, image)
    body = BACKENDS[pipeline.backend].render(launch, cluster)
    owner = {"apiVersion": API_VERSION, "kind": OBJECT_KIND, "name": meta["name"], "uid": meta["uid"]}
    body["metadata"]["ownerReferences"] = [owner | {"controller": True}]
    body["metadata"]["annotations"][FORM] = form_of(pipeline, described).text()
    return body
