"""JobSets as a backend: what they say of themselves, and how they are stopped for good."""
# pyright: reportMissingTypeStubs=false

from collections.abc import Mapping
from typing import Any

from fastgen_k8s.launch.api import Api, Found
from fastgen_k8s.launch.jobs import Backend
from fastgen_k8s.launch.jobset import API_VERSION, jobset
from fastgen_k8s.launch.outcome import CANCELLED, jobset_state


def _said(jobset: Mapping[str, Any]) -> str:
    """What the newest condition that is true says."""
    conditions: list[Found] = [one for one in jobset.get("status", {}).get("conditions", ()) if one["status"] == "True"]
    if not conditions:
        return ""
    newest = max(conditions, key=lambda one: str(one.get("lastTransitionTime", "")))
    return f"{newest.get('reason', '')}: {newest.get('message', '')}"


def _cancel(api: Api, path: str, jobset: Found) -> None:
    """Suspend it; Kueue must not start it again."""
    api.patch(path, {"metadata": {"annotations": {CANCELLED: "true"}}, "spec": {"suspend": True}})
    meta = jobset["metadata"]
    if "kueue.x-k8s.io/queue-name" in meta.get("labels", {}):
        where = f"/apis/kueue.x-k8s.io/v1beta2/namespaces/{meta['namespace']}/workloads"
        workloads = api.find(where, labelSelector=f"kueue.x-k8s.io/job-uid={meta['uid']}")
        for one in (workloads or {"items": ()})["items"]:
            api.patch(f"{where}/{one['metadata']['name']}", {"spec": {"active": False}})


JOBSET = Backend(
    kind="JobSet",
    product="JobSet",
    group=API_VERSION,
    plural="jobsets",
    render=jobset,
    state=jobset_state,
    said=_said,
    cancel=_cancel,
)
