"""Which pods are a job's: those that it has made, or a Job that it is made of has. A label alone is anybody's.

Of a JobSet's Jobs, which own its pods, only the names are known where nobody asks for them: `<JobSet>-<role>-<index>`.
The JobSet's uid stands in a label that its controller gives to all of them.
"""

from collections.abc import Iterable

from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.outcome import COMPONENT, INDEX

_JOBSET_UID = "jobset.sigs.k8s.io/jobset-uid"
_OF_KUBERNETES, _OF_VOLCANO = "batch", "batch.volcano.sh"


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
