"""Jobs of Volcano as a backend: what they say of themselves, and how they are stopped for good."""

from fastgen_k8s.kube.api import Api
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.jobs import Backend
from fastgen_k8s.launch.outcome import vcjob_state
from fastgen_k8s.launch.volcano import API_VERSION, vcjob


def _said(vcjob: Object) -> str:
    """What its phase says, and how often it was started again."""
    status = vcjob.get("status", {})
    state = status.get("state", {})
    words = [state.get("phase", "not looked at yet"), state.get("reason", ""), state.get("message", "")]
    retries = status.get("retryCount", 0)
    return ": ".join(word for word in words if word) + (
        f" (pods replaced after a failure: {retries})" if retries else ""
    )


def _cancel(api: Api, path: str, vcjob: Object) -> None:
    """Tell Volcano to abort it; the command goes when it has been followed, or with the job."""
    meta = vcjob["metadata"]
    target = {"apiVersion": API_VERSION, "kind": "Job", "name": meta["name"], "uid": meta["uid"], "controller": True}
    command = {
        "apiVersion": "bus.volcano.sh/v1alpha1",
        "kind": "Command",
        "metadata": {
            "generateName": f"{meta['name']}-abort-",
            "namespace": meta["namespace"],
            "ownerReferences": [target],
        },
        "action": "AbortJob",
        "target": target,
    }
    api.create(f"/apis/bus.volcano.sh/v1alpha1/namespaces/{meta['namespace']}/commands", command)


VOLCANO = Backend(
    kind="Job (batch.volcano.sh)",
    product="Volcano",
    group=API_VERSION,
    plural="jobs",
    render=vcjob,
    state=vcjob_state,
    said=_said,
    cancel=_cancel,
)
