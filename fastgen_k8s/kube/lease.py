"""Who of several controllers acts: the holder of a Lease, and only as long as it can be sure of it.

Written here because the client's own election ends on the first refused connection without telling the work, and
does not end at all when the server hangs. A holder stops acting (`holds`) well before another can take over, pauses
while the server is away, and stays in the process.
"""

import math
import random
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import structlog

from fastgen_k8s.kube.connection import SHORT, Connection, Refused, Unreachable
from fastgen_k8s.kube.objects import Object

_LONGEST_CALL = 5.0  # seconds
_CHANGED = 409

log = structlog.get_logger()


class Durations(NamedTuple):
    """Seconds. A holder writes each `retry`, stops acting `deadline` after its last write, loses it after `lease`."""

    lease: float = 15.0  # a whole number in the object
    deadline: float = 10.0  # a write that began before it must have ended before the lease has
    retry: float = 2.0


USUAL = Durations()


def durations(words: str) -> Durations:
    """Durations from LEASE/DEADLINE/RETRY; ValueError for those under which two could write at one time."""
    try:
        lease, deadline, retry = (float(word) for word in words.split("/"))
    except ValueError as error:
        raise ValueError(f"lease: wanted LEASE/DEADLINE/RETRY in seconds, found {words!r}") from error
    if not 0 < retry < deadline < lease - SHORT:
        raise ValueError(f"lease: wanted 0 < RETRY < DEADLINE < LEASE - {SHORT:g}, which a write takes, found {words}")
    return Durations(lease, deadline, retry)


class LeaseSeen(NamedTuple):
    """The Lease as it was last read."""

    holder: str
    version: str
    lasts: float
    since: float  # by our clock, when this version was first seen: the clocks of others are not to be trusted


def seen(before: LeaseSeen | None, lease: Object, now: float, lasts: float) -> LeaseSeen:
    """What a reading at a time tells; a lease that does not say how long it lasts lasts as long as ours."""
    version, spec = str(lease["metadata"]["resourceVersion"]), _spec(lease)
    since = before.since if before is not None and before.version == version else now
    return LeaseSeen(spec.get("holderIdentity") or "", version, float(spec.get("leaseDurationSeconds") or lasts), since)


def choose(lease: LeaseSeen | None, me: str, now: float) -> Literal["create", "renew", "take", "wait"]:
    """What to do about a lease (None: there is none)."""
    if lease is None:
        return "create"
    if lease.holder == me:
        return "renew"
    return "take" if not lease.holder or now - lease.since > lease.lasts else "wait"


def held(spec: Object, me: str, lasts: float, at: str) -> Object:
    """A Lease's spec when we hold it from a time on; a change of holder is counted and dated."""
    said = {**spec, "holderIdentity": me, "leaseDurationSeconds": math.ceil(lasts), "renewTime": at}
    if spec.get("holderIdentity") == me:
        return said
    return {**said, "acquireTime": at, "leaseTransitions": spec.get("leaseTransitions", -1) + 1}


def released(spec: Object, at: str) -> Object:
    """A Lease's spec that the next one may take at once."""
    return {**spec, "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": at}


def call_timeout(durations: Durations, left: float) -> float:
    """Seconds for a call about the lease, when so many are left of it: none may end after the fence has closed."""
    longest = min(_LONGEST_CALL, durations.deadline / 2)
    return min(longest, left) if left > 0 else longest


def micro_time(seconds: float) -> str:
    """A time as Kubernetes writes it in a Lease."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _spec(lease: Object | None) -> Object:
    """What a lease says, which may be nothing."""
    return (lease or {}).get("spec") or {}


class Elector(threading.Thread):
    """Takes part in the election until released; `holds` says whether this process may act just now."""

    def __init__(
        self,
        connection: Connection,
        namespace: str,
        name: str,
        identity: str,
        durations: Durations = USUAL,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(daemon=True, name=f"elector {namespace}/{name}")
        self.identity = f"{identity}_{secrets.token_hex(4)}"  # a process that was restarted is another one
        self._connection, self._durations, self._monotonic = connection, durations, monotonic
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._path, self._lease_name = f"{self._collection}/{name}", name
        self._seen: LeaseSeen | None = None
        self._until = 0.0  # by our clock
        self._stopped = threading.Event()

    def holds(self) -> bool:
        """Whether we hold the lease for sure: asked before each look at an object and before each write."""
        return not self._stopped.is_set() and self._monotonic() < self._until

    def run(self) -> None:
        """Take part until released."""
        leads, problem = False, ""
        while not self._stopped.is_set():
            was, problem = problem, self._turn()
            if problem and not was:
                log.warning("no word about the lease", lease=self._path, problem=problem)
            if self.holds() != leads:
                leads = not leads
                log.info("leads" if leads else "leads no longer", lease=self._path, identity=self.identity)
            self._stopped.wait(self._durations.retry * random.uniform(0.8, 1.2))

    def release(self) -> None:
        """Stop acting, and give the lease up so that the next one need not wait for its end."""
        self._stopped.set()
        if self.is_alive():
            self.join()
        if self._monotonic() < self._until:
            self._until = 0.0
            try:
                self._give_up()
            except (Refused, Unreachable) as failure:
                log.warning("the lease could not be given up", lease=self._path, problem=str(failure))

    def _turn(self) -> str:
        """One look at the lease and perhaps one write; what went wrong."""
        try:
            lease = self._read()
            me, now = self.identity, self._monotonic()
            self._seen = None if lease is None else seen(self._seen, lease, now, self._durations.lease)
            if self._seen is None or self._seen.holder != me:
                self._until = 0.0
            choice = choose(self._seen, me, now)
            if choice != "wait":
                self._write(lease)
        except Refused as refusal:
            return "" if refusal.status == _CHANGED else str(refusal)  # somebody else was faster
        except Unreachable as failure:
            return str(failure)
        return ""

    def _read(self) -> Object | None:
        return self._connection.get(self._path, self._timeout())

    def _write(self, lease: Object | None) -> None:
        """Hold the lease from the moment before it is written, which is the earliest from which others count."""
        asked = self._monotonic()
        spec = held(_spec(lease), self.identity, self._durations.lease, self._time())
        if lease is None:
            made = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": self._lease_name}}
            self._connection.post(self._collection, {**made, "spec": spec}, timeout=self._timeout())
        else:
            self._connection.put(self._path, {**lease, "spec": spec}, timeout=self._timeout())
        self._until = asked + self._durations.deadline

    def _give_up(self) -> None:
        lease = self._read()
        spec = _spec(lease)
        if lease is not None and spec.get("holderIdentity") == self.identity:
            spec = released(spec, self._time())
            self._connection.put(self._path, {**lease, "spec": spec}, timeout=self._timeout())

    def _time(self) -> str:
        return micro_time(self._connection.clock.now())

    def _timeout(self) -> float:
        return call_timeout(self._durations, self._until - self._monotonic())
