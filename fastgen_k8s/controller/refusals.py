"""What the cluster refuses: a job, or the pods of one. Those are read once in a while for all jobs of a namespace.

The server looks through all events of a namespace for them, and where one job waits for a quota many do.
"""

import time
from typing import NamedTuple

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.kube.connection import Connection, Refused
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.lifecycle.fold import bounded, failed
from fastgen_k8s.lifecycle.status import Outcome, StageStatus

_EVERY = 10.0  # seconds between two reads


class _Said(NamedTuple):
    when: str
    of: str  # name of what wanted pods: a job's own, and more
    message: str


class Refusals:
    """The refusals of every namespace that was asked for, at most so old; safe for threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._read: dict[str, tuple[float, list[_Said]]] = {}  # namespace -> monotonic seconds and what was said

    def __call__(self, namespace: str, job: str) -> list[str]:
        """What was said of a job's pods, the newest last."""
        known = self._read.get(namespace)
        if known is None or time.monotonic() - known[0] > _EVERY:
            known = self._read[namespace] = time.monotonic(), self._list(namespace)
        return [one.message for one in known[1] if one.of.startswith(job)]

    def _list(self, namespace: str) -> list[_Said]:
        path = f"/api/v1/namespaces/{namespace}/events"
        listed = self._connection.get(path, fieldSelector="reason=FailedCreate")
        items: list[Object] = [] if listed is None else listed["items"]
        return sorted(
            _Said(
                str(one.get("lastTimestamp")), str(one["involvedObject"].get("name", "")), str(one.get("message", ""))
            )
            for one in items
        )


def refused(stage: StageStatus, product: str, refusal: Refused, now: float) -> StageStatus:
    """A stage whose job the cluster did not take: for good when it is described wrongly, for now otherwise."""
    if refusal.status in (400, 422):
        return failed(stage, Outcome(Misdescribed.code, "Misdescribed", f"its job is refused: {refusal.message}"), now)
    absent = f"waits for {product}: this cluster does not have its kind"
    said = absent if refusal.status == 404 else bounded(f"its job is refused: {refusal.message}")
    return stage.model_copy(update={"message": said, "reason": "JobRefused"})
