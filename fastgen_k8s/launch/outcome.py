"""What a job and its pods say of themselves: its state, which pods are its own, the exit code that explains it.

A job's pods are those that it has made, or a Job that it is made of has; a label alone is anybody's. Of a JobSet's
Jobs, which own its pods, only the names are known where nobody asks for them: `<JobSet>-<role>-<index>`. The JobSet's
uid stands in a label that its controller gives to all of them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from fastgen_k8s.errors import OutOfMemory, rank
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.cluster import GROUP

CANCELLED = f"{GROUP}/cancelled"  # annotation of what is suspended: for good
COMPONENT = "app.kubernetes.io/component"
INDEX = "jobset.sigs.k8s.io/job-index"  # label: which trainer
TASK_INDEX = "volcano.sh/task-index"  # the same of Volcano
_JOBSET_UID = "jobset.sigs.k8s.io/jobset-uid"
_OF_KUBERNETES, _OF_VOLCANO = "batch", "batch.volcano.sh"
_RULE = re.compile(r"failed with exit code (\d+) matching FailJob rule")


class JobState(StrEnum):
    """Where a job is between its making and its end; the names are TorchX's."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


ENDED = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
_PHASES = {
    "Running": JobState.RUNNING,
    "Restarting": JobState.RUNNING,  # one pod is replaced, the others go on
    "Completing": JobState.RUNNING,
    "Terminating": JobState.RUNNING,
    "Completed": JobState.SUCCEEDED,
    "Failed": JobState.FAILED,
    "Terminated": JobState.FAILED,
    "Aborting": JobState.CANCELLED,
    "Aborted": JobState.CANCELLED,
}


class Replica(NamedTuple):
    """One trainer, or the rendezvous, as its newest pod shows it."""

    role: str
    number: int
    phase: str  # of its newest pod, as Kubernetes says it
    pod: str
    node: str
    code: int | None  # when it has ended
    why: str  # it waits, or ended badly


def jobset_state(jobset: Object) -> JobState:
    """The state of a JobSet."""
    conditions = {one["type"]: one["status"] == "True" for one in jobset.get("status", {}).get("conditions", ())}
    if conditions.get("Completed"):
        return JobState.SUCCEEDED
    if conditions.get("Failed"):
        return JobState.FAILED
    suspended = bool(jobset["spec"].get("suspend"))
    if suspended and CANCELLED in jobset["metadata"].get("annotations", {}):
        return JobState.CANCELLED
    jobs = jobset.get("status", {}).get("replicatedJobsStatus", ())
    ready = any(one.get("ready") for one in jobs)
    return JobState.RUNNING if ready and not suspended else JobState.PENDING


def vcjob_state(vcjob: Object) -> JobState:
    """The state of a Job of Volcano; before it was looked at, it has none of its own."""
    phase = vcjob.get("status", {}).get("state", {}).get("phase")
    return _PHASES.get(phase, JobState.PENDING)


def count(label: str | None) -> int | None:
    """The number that a label says, if it is one."""
    return int(label) if label and label.isascii() and label.isdecimal() else None


def number(pod: Object) -> int:
    """Which replica of its role a pod is; the first where its labels say no number."""
    labels = pod["metadata"]["labels"]
    return count(labels.get(INDEX, labels.get(TASK_INDEX))) or 0


def controller(found: Object) -> Object | None:
    """Who has made an object and looks after it."""
    owners: Iterable[Object] = found["metadata"].get("ownerReferences", ())
    return next((one for one in owners if one.get("controller")), None)


def owns(job: str, pod: Object, uid: str | None = None) -> bool:
    """Whether a pod is one of the JobSet, or of the Job of Volcano, of that name and, where it is known, that uid."""
    owner, labels = controller(pod), pod["metadata"].get("labels", {})
    if owner is None or owner["kind"] != "Job":
        return False
    group = str(owner["apiVersion"]).partition("/")[0]
    if group == _OF_VOLCANO:
        return owner["name"] == job and uid in (None, owner["uid"]) and COMPONENT in labels
    named = f"{job}-{labels.get(COMPONENT)}-{labels.get(INDEX)}"
    return group == _OF_KUBERNETES and owner["name"] == named and uid in (None, labels.get(_JOBSET_UID))


def replicas(pods: Iterable[Object]) -> list[Replica]:
    """Each role's replicas by their newest pods."""
    return [_replica(role, index, pod) for (role, index), pod in newest(pods)]


def newest(pods: Iterable[Object]) -> list[tuple[tuple[str, int], Object]]:
    """The newest pod of each replica, by role and number."""
    found: dict[tuple[str, int], Object] = {}
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"])):
        found[pod["metadata"]["labels"][COMPONENT], number(pod)] = pod
    return sorted(found.items(), key=lambda one: one[0])


def exit_code(jobs: Iterable[Object], pods: Iterable[Object]) -> int | None:
    """The code that says most about how a job ended: of its pods, or of the rule that ended it when they are gone."""
    said = [one.get("message", "") for job in jobs for one in job.get("status", {}).get("conditions", ())]
    codes = [int(found[1]) for message in said if (found := _RULE.search(message))]
    codes += [code for pod in pods if (code := terminated(pod)) is not None]
    return worst(codes)[0] if codes else None


def worst(codes: Sequence[int]) -> tuple[int, int]:
    """The exit code that says most about a job of several agents, and whose it is; a signal counts 128 + number."""
    plain = [128 - code if code < 0 else code for code in codes]
    chosen = min(range(len(plain)), key=lambda index: rank(plain[index]))
    return plain[chosen], chosen


def _replica(role: str, index: int, pod: Object) -> Replica:
    phase, node = pod.get("status", {}).get("phase", "Unknown"), pod["spec"].get("nodeName", "")
    return Replica(role, index, phase, pod["metadata"]["name"], node, terminated(pod), last_words(pod))


def terminated(pod: Object) -> int | None:
    """The exit code of a pod's work; one that the kernel ended for its memory is out of memory."""
    ended = _ended(pod)
    if ended is None:
        return None
    return OutOfMemory.code if ended.get("reason") == "OOMKilled" else int(ended["exitCode"])


def _ended(pod: Object) -> Object | None:
    """How the container that has its role's name ended; others (a mesh's, a log shipper's) do not count."""
    role = pod["metadata"]["labels"].get(COMPONENT)
    mine = (one for one in pod.get("status", {}).get("containerStatuses", ()) if one.get("name", role) == role)
    return next((ended for one in mine if (ended := one.get("state", {}).get("terminated")) is not None), None)


def condition_of(found: Object, kind: str, status: str) -> Object | None:
    """What an object says under a condition, if that has this status."""
    conditions: Iterable[Object] = found.get("status", {}).get("conditions", ())
    return next((one for one in conditions if (one["type"], one["status"]) == (kind, status)), None)


def held_up(pod: Object) -> Iterator[tuple[str, str]]:
    """What the containers of a pod wait for that is not the ordinary start: a word and a sentence each."""
    for one in pod.get("status", {}).get("containerStatuses", ()):
        waiting = one.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in ("ContainerCreating", "PodInitializing"):
            yield waiting.get("reason", ""), waiting.get("message", "")


def last_words(pod: Object) -> str:
    """Why a pod waits or ended, in the cluster's words or its own last ones."""
    for one in pod.get("status", {}).get("conditions", ()):
        if (one["type"], one["status"]) in (("PodScheduled", "False"), ("DisruptionTarget", "True")):
            return f"{one.get('reason', '')}: {one.get('message', '')}"
    for reason, message in held_up(pod):
        return f"{reason}: {message}"
    ended = _ended(pod)
    if ended and ended["exitCode"]:
        return next(reversed(ended.get("message", "").strip().splitlines()), "")  # the error is the last line
    return ""
