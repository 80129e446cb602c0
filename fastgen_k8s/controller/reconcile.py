"""One look at one pipeline and what follows from it: observe, plan, act, and one write of the status if it changed."""
# pyright: reportMissingTypeStubs=false

from collections.abc import Iterable, Mapping
from dataclasses import replace

import structlog

from fastgen_k8s.controller import changes
from fastgen_k8s.controller.accept import Accepted, accept, last_accepted
from fastgen_k8s.controller.children import Child
from fastgen_k8s.controller.generation import (
    finished,
    generation_of,
    halted,
    of_generation,
    read_status,
    removals,
    retried_stage,
    retry_asked,
    whole,
    with_places,
)
from fastgen_k8s.controller.job import BACKENDS, Settings, job, job_name
from fastgen_k8s.controller.look import Looking
from fastgen_k8s.controller.places import SHARED, Places, shared
from fastgen_k8s.controller.refusals import refused
from fastgen_k8s.controller.roots import Roots, check_places
from fastgen_k8s.controller.store import Artifacts
from fastgen_k8s.controller.telemetry import Telemetry
from fastgen_k8s.controller.view import ClusterView, Key, key_of
from fastgen_k8s.controller.waiting import MADE
from fastgen_k8s.controller.writes import Writes, path
from fastgen_k8s.errors import BadInput, FastgenError, Misdescribed
from fastgen_k8s.kube.connection import Connection, Refused
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.lifecycle.conditions import ACCEPTED, SUCCEEDED, columns, condition, merge
from fastgen_k8s.lifecycle.decide import Decision, decide
from fastgen_k8s.lifecycle.fold import begun, fold
from fastgen_k8s.lifecycle.status import LIVE, Condition, StageStatus, Status, rfc3339, seconds
from fastgen_k8s.pipeline.resolve import bound

RESYNC = 600.0  # seconds after which a pipeline is looked at although nothing was heard of it
_SOON = 0.2  # seconds: the object has just changed
_INPUT = 60.0  # seconds between looks for an input that is not there
_SHARED = 5.0  # seconds between looks for what another pipeline makes
_CONFLICT = 409
_ANSWERS = (400, 403, 404, 422)  # that come again until somebody does something
_REFUSED = 30.0  # seconds before a job that the cluster refused is offered again

log = structlog.get_logger()


class Reconciler:
    """Carries pipelines forward, one call at a time for each."""

    def __init__(
        self,
        connection: Connection,
        view: ClusterView,
        writes: Writes,
        settings: Settings,
        roots: Roots,
        telemetry: Telemetry,
    ) -> None:
        self._connection, self._view, self._writes = connection, view, writes
        self._settings, self._roots, self._telemetry = settings, roots, telemetry
        self._artifacts = Artifacts(telemetry)
        self._looking = Looking(view, connection, self._artifacts)
        self._places = Places(view)
        self._accepted: dict[Key, tuple[str, int, Accepted]] = {}  # uid, generation, and what it came to

    def __call__(self, key: Key) -> float | None:
        """Look and act once; seconds to the next look, None for a pipeline that is gone."""
        found = self._view.find(key)
        if found is None or "deletionTimestamp" in found["metadata"]:
            self._forget(key)
            return None  # what it owns is removed by the cluster
        stored = read_status(found)
        children = self._view.children(found["metadata"]["uid"])
        if finished(stored, found) and not retry_asked(stored, found):
            return self._afterwards(found, stored, children)
        try:
            accepted = self._accept(found, stored)
        except (Misdescribed, BadInput) as error:
            reason = "Invalid" if isinstance(error, Misdescribed) else "InputMissing"
            said = condition(ACCEPTED, "False", reason, str(error), generation_of(found))
            return self._follow(found, stored, children, said)
        except FastgenError as error:
            said = condition(ACCEPTED, "Unknown", "StoreUnreadable", str(error), generation_of(found))
            self._follow(found, stored, children, said)
            raise
        return self._carry(found, accepted, stored, children)

    def _accept(self, found: Object, stored: Status) -> Accepted:
        """The pipeline as it was taken in; its places are judged each time, for the list of roots may have changed."""
        key, uid, generation = key_of(found), found["metadata"]["uid"], generation_of(found)
        roots, known = self._roots.of(key[0]), self._accepted.get(key)
        if known is None or known[:2] != (uid, generation):
            taken = accept(found, stored, self._settings, roots, self._artifacts.input)
            known = self._accepted[key] = uid, generation, taken
        else:
            check_places(known[2].pipeline, roots)
        return known[2]

    def _forget(self, key: Key) -> None:
        self._looking.readings.forget(key)
        self._accepted.pop(key, None)
        self._places.keep(key, ())

    def _carry(self, found: Object, accepted: Accepted, stored: Status, children: list[Child]) -> float:
        """An accepted pipeline, one look further."""
        now = self._connection.clock.now()
        said = condition(ACCEPTED, "True", "Accepted", "", generation_of(found))
        status = of_generation(found, accepted, stored, rfc3339(now))
        self._remove(found, stored, children, accepted)
        decision, left = self._decide(found, stored, accepted, status, children, now, said)
        decided, pause, put_off = dict(decision.stages), decision.again, list[Refused]()
        if decision.start:
            if not self._is_fresh(found):
                return _SOON
            for name in decision.start:
                decided[name] = self._start(found, accepted, decided, name, now, put_off)
                again = _SHARED if decided[name].reason == SHARED else _REFUSED
                pause = again if decided[name].state not in LIVE else pause
        decided = with_places(decided, accepted)
        status = whole(status, said, decided, accepted.pipeline.suspend, left == 0.0, rfc3339(now))
        pauses = [RESYNC, self._put_down(found, stored, status, accepted)]
        if put_off:
            raise put_off[0]  # the status says it; the queue offers the job again, after more and more time
        return min(pauses + ([] if pause is None else [pause]) + ([left] if left else []))

    def _follow(self, found: Object, stored: Status, children: list[Child], said: Condition) -> float:
        """A generation that is refused starts nothing. What an earlier one has started is followed to its end, or is
        ended by `suspend`; it is recorded by that earlier one's spec, and without the store where that is unknown.
        """
        if not stored.stages:
            self._say(found, stored, said)
            return _INPUT
        now, suspend = self._connection.clock.now(), found["spec"].get("suspend") is True
        accepted, left, again = self._last_accepted(found, stored), None, None
        self._remove(found, stored, children, accepted)
        if accepted is None:
            stages = {stage.name: stage for stage in stored.stages}
            decided = halted(stages, self._looking.jobs(found, stages, children), suspend, now)
        else:
            accepted = replace(accepted, pipeline=accepted.pipeline.model_copy(update={"suspend": suspend}))
            decision, left = self._decide(found, stored, accepted, stored, children, now, said)
            decided, again = with_places(decision.stages, accepted), decision.again
        status = whole(stored, said, decided, suspend, left == 0.0, rfc3339(now))
        pauses = [_INPUT, self._put_down(found, stored, status, accepted)]
        return min(pauses + ([] if again is None else [again]))

    def _decide(
        self,
        found: Object,
        stored: Status,
        accepted: Accepted,
        status: Status,
        children: list[Child],
        now: float,
        said: Condition,
    ) -> tuple[Decision, float | None]:
        """What a look at an accepted pipeline comes to, and the seconds to its deadline; nothing is started where it is
        `said` that the newest generation is another.
        """
        stages, newest = {stage.name: stage for stage in status.stages}, said.status == "True"
        try:
            looks = self._looking.looks(found, accepted, stages, children, now)
        except FastgenError as error:
            unread = condition(SUCCEEDED, "Unknown", "StoreUnreadable", str(error), generation_of(found))
            self._say(found, stored, unread if newest else said)
            raise
        renew = retried_stage(found, stored) if newest else None
        looks = {name: replace(look, renew=name == renew) for name, look in looks.items()}
        folded = {name: fold(stages[name], look, now) for name, look in looks.items()}
        left = _left(accepted.pipeline.deadline, status.startedAt, now)
        taken = "refused" if said.status == "False" else "not taken in yet"
        why = None if newest else f"generation {said.observedGeneration} is {taken}"
        return decide(accepted.pipeline, folded, accepted.digests, looks, now, left == 0.0, why), left

    def _put_down(self, found: Object, stored: Status, status: Status, accepted: Accepted | None) -> float:
        """Write the status, and keep the places of what lives; seconds to the next look at that."""
        self._write(found, stored, status, accepted)
        live = [stage.name for stage in status.stages if stage.state in LIVE]
        self._places.keep(key_of(found), [] if accepted is None else [accepted.stages[name].output for name in live])
        return self._looking.readings.rest(key_of(found)) if live else RESYNC

    def _last_accepted(self, found: Object, stored: Status) -> Accepted | None:
        """What was taken in last, while its places may be read and its stages are those of the status."""
        accepted = last_accepted(stored)
        if accepted is None or list(accepted.stages) != [stage.name for stage in stored.stages]:
            return None
        try:
            check_places(accepted.pipeline, self._roots.of(key_of(found)[0]))
        except Misdescribed:
            return None
        return accepted

    def _is_fresh(self, found: Object) -> bool:
        """Whether nobody has changed the object since it was heard of: our own last status is in it."""
        meta = found["metadata"]
        live = self._connection.get(path(meta["namespace"], meta["name"]))
        return live is not None and live["metadata"]["resourceVersion"] == meta["resourceVersion"]

    def _start(
        self,
        found: Object,
        accepted: Accepted,
        stages: Mapping[str, StageStatus],
        name: str,
        now: float,
        put_off: list[Refused],
    ) -> StageStatus:
        """A stage with its next job, made now or found: a crash after its creation has left it there. A refusal that
        passes by itself, as of a server that restarts, is `put_off`.
        """
        stage, pipeline = stages[name], accepted.pipeline
        resolved = bound(pipeline, accepted.stages[name], {one: status.sha256 for one, status in stages.items()})
        backend = BACKENDS[pipeline.backend]
        attempt, namespace = stage.attempt + 1, found["metadata"]["namespace"]
        made = job_name(found, name, attempt)
        if self._connection.get(backend.path(namespace, made)) is None:
            holder = self._places.take(resolved.output, key_of(found))
            if holder is not None:
                return shared(stage, holder, resolved.output)
            try:
                self._writes.create(backend, job(found, pipeline, resolved, attempt, self._settings))
            except Refused as refusal:
                if refusal.status == _CONFLICT:
                    raise
                if refusal.status not in _ANSWERS:
                    put_off.append(refusal)
                return refused(stage, backend.product, refusal, now)
        started = begun(stage, made, attempt, resolved.stage.placement.max_nodes)
        expected = None if pipeline.queue else MADE  # what the next look finds is no reason to write again
        return started.model_copy(update={"message": expected})

    def _remove(self, found: Object, stored: Status, children: Iterable[Child], accepted: Accepted | None) -> None:
        """Delete what the stored status has done with; of a pipeline that is not known, what it has stopped."""
        known = stored.stages if accepted is None else accepted.pipeline.stages
        names = frozenset(stage.name for stage in known)
        for one in removals(stored, children, names, "never" if accepted is None else accepted.pipeline.cleanup):
            self._writes.delete(found["metadata"]["namespace"], one)

    def _afterwards(self, found: Object, stored: Status, children: list[Child]) -> float | None:
        """A finished generation is never planned again: only its jobs, and in the end it itself, are removed."""
        self._forget(key_of(found))
        spec = found["spec"]
        names = frozenset(str(stage["name"]) for stage in spec.get("stages", ()))
        for one in removals(stored, children, names, spec.get("cleanup", "succeeded")):
            self._writes.delete(found["metadata"]["namespace"], one)
        ttl = _left(spec.get("ttlSecondsAfterFinished"), stored.finishedAt, self._connection.clock.now())
        if ttl is None:
            return RESYNC
        if ttl <= 0:
            self._writes.forget(found)
            return None
        return min(ttl, RESYNC)

    def _say(self, found: Object, stored: Status, said: Condition) -> None:
        """One condition, when nothing else can be said."""
        others = [one for one in stored.conditions if one.type != said.type]
        conditions = merge(stored.conditions, [*others, said], rfc3339(self._connection.clock.now()))
        shown = columns(stored.stages, said).model_copy(update={"status": said.reason})
        update: dict[str, object] = {"conditions": conditions, "columns": shown}
        if said.type == ACCEPTED:
            update["observedGeneration"] = stored.observedGeneration if stored.stages else generation_of(found)
        self._write(found, stored, stored.model_copy(update=update), None)

    def _write(self, found: Object, stored: Status, status: Status, accepted: Accepted | None) -> None:
        """The status, if it has changed, and then what people and Prometheus want to know of it."""
        body = status.model_dump(mode="json", exclude_none=True)
        if body == found["status"]:
            return
        self._writes.status(found, body)
        if accepted is not None:
            changes.count(stored, status, accepted.pipeline, self._telemetry, self._connection.clock.now())
        for told in changes.events(stored, status):
            log.info(told.reason, pipeline="/".join(key_of(found)), said=told.message)
            try:
                self._writes.event(found, told.kind, told.reason, told.message, told.mark, self._connection.clock.now())
            except Refused as refusal:  # the status says it too
                log.warning("event refused", reason=told.reason, said=refusal.message)


def _left(seconds_allowed: int | None, since: str | None, now: float) -> float | None:
    """Seconds until so many have gone by since a time; 0 when they have."""
    return None if seconds_allowed is None or since is None else max(0.0, seconds(since) + seconds_allowed - now)
