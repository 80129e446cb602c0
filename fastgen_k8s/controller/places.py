"""Who writes which place: what two pipelines with one root describe alike is made by one of them at a time."""

import threading
from collections.abc import Collection

from fastgen_k8s.controller.view import ClusterView, Key, key_of
from fastgen_k8s.lifecycle.fold import bounded
from fastgen_k8s.lifecycle.status import LIVE, StageStatus
from fastgen_k8s.pipeline.resolve import place as place_of

SHARED = "SharedPlace"


class Places:
    """The places of live attempts; safe for threads.

    What this process has begun is known before a cache has heard of it, the rest from the view.
    """

    def __init__(self, view: ClusterView) -> None:
        self._view, self._lock = view, threading.Lock()
        self._taken: dict[str, Key] = {}

    def take(self, place: str, by: Key) -> Key | None:
        """Take a place for an attempt of a pipeline, unless another pipeline has it: that one."""
        with self._lock:
            holder = self._taken.get(place) or writer(self._view, place, by)
            if holder not in (None, by):
                return holder
            self._taken[place] = by
            return None

    def keep(self, by: Key, places: Collection[str]) -> None:
        """A pipeline has live attempts of these places, and of no others any more."""
        with self._lock:
            for place in [place for place, holder in self._taken.items() if holder == by and place not in places]:
                del self._taken[place]
            for place in places:
                self._taken.setdefault(place, by)


def writer(view: ClusterView, place: str, besides: Key) -> Key | None:
    """The pipeline, other than that one, which has a live attempt that writes a place."""
    for found in view.all():
        meta, root, status = found["metadata"], str(found["spec"].get("root")), found["status"]
        key = key_of(found)
        if key == besides or not place.startswith(f"{root}/"):
            continue
        digests = status.get("digests", {})
        live = [one["name"] for one in status.get("stages", ()) if one.get("state") in LIVE and one["name"] in digests]
        places = [place_of(root, name, digests[name]) for name in live]
        jobs = [one for one in view.children(meta["uid"]) if not one.ended]  # of settings that have changed, too
        if place in places or place in [place_of(root, one.stage, one.digest) for one in jobs]:
            return key
    return None


def shared(stage: StageStatus, holder: Key, place: str) -> StageStatus:
    """A stage that waits for what another pipeline makes."""
    said = f"waits for pipeline {'/'.join(holder)}, which makes {place}"
    return stage.model_copy(update={"message": bounded(said), "reason": SHARED})
