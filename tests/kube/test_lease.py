"""When a lease may be taken, what is written into it, and for how long its holder may act."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastgen_k8s.kube.connection import SHORT
from fastgen_k8s.kube.lease import (
    USUAL,
    Durations,
    Elector,
    LeaseSeen,
    call_timeout,
    choose,
    durations,
    held,
    micro_time,
    released,
    seen,
)
from fastgen_k8s.kube.objects import Object
from tests.scripted_api import Answer, Asked, Scripted, scripted

EARLIER, NOW = "2026-01-01T00:00:00.000000Z", "2026-01-02T00:00:00.250000Z"


def lease(version: int, **spec: object) -> Object:
    return {"metadata": {"resourceVersion": str(version)}, "spec": spec}


@pytest.mark.parametrize(
    ("found", "now", "choice"),
    [
        (None, 0, "create"),
        (LeaseSeen("me", "1", 15, 0), 3, "renew"),
        (LeaseSeen("me", "1", 15, 0), 99, "renew"),  # its holder is the only one who may not doubt it
        (LeaseSeen("", "1", 1, 0), 0, "take"),  # given up
        (LeaseSeen("other", "1", 15, 0), 14.9, "wait"),
        (LeaseSeen("other", "1", 15, 0), 15, "wait"),
        (LeaseSeen("other", "1", 15, 0), 15.1, "take"),
        (LeaseSeen("other", "1", 60, 0), 15.1, "wait"),  # the holder's own word counts
    ],
)
def test_a_lease_is_taken_only_when_nobody_holds_it(found: LeaseSeen | None, now: float, choice: str) -> None:
    assert choose(found, "me", now) == choice


@pytest.mark.parametrize(
    ("before", "found", "now", "since"),
    [
        (None, lease(1, holderIdentity="other"), 7, 7),
        (LeaseSeen("other", "1", 15, 3), lease(1, holderIdentity="other"), 7, 3),  # not written since
        (LeaseSeen("other", "1", 15, 3), lease(2, holderIdentity="other"), 7, 7),
    ],
)
def test_a_lease_counts_from_when_we_saw_it_change(
    before: LeaseSeen | None, found: Object, now: float, since: float
) -> None:
    assert seen(before, found, now, 15) == LeaseSeen("other", found["metadata"]["resourceVersion"], 15, since)


def test_an_empty_lease_is_nobodys() -> None:
    assert seen(None, {"metadata": {"resourceVersion": "1"}}, 7, 15) == LeaseSeen("", "1", 15, 7)


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({}, {"acquireTime": NOW, "leaseTransitions": 0}),
        ({"holderIdentity": "other", "acquireTime": EARLIER}, {"acquireTime": NOW, "leaseTransitions": 0}),
        (
            {"holderIdentity": "", "acquireTime": EARLIER, "leaseTransitions": 4},
            {"acquireTime": NOW, "leaseTransitions": 5},
        ),
        (
            {"holderIdentity": "me", "acquireTime": EARLIER, "leaseTransitions": 4},
            {"acquireTime": EARLIER, "leaseTransitions": 4},
        ),
    ],
    ids=["new", "never counted", "taken", "renewed"],
)
def test_only_a_change_of_holder_is_counted_and_dated(spec: Object, wanted: Object) -> None:
    always = {"holderIdentity": "me", "leaseDurationSeconds": 3, "renewTime": NOW}
    assert held(spec, "me", 2.5, NOW) == always | wanted


def test_a_lease_that_is_given_up_keeps_its_count() -> None:
    given_up = released({"holderIdentity": "me", "leaseTransitions": 4, "leaseDurationSeconds": 15}, NOW)
    assert given_up == {"holderIdentity": "", "leaseTransitions": 4, "leaseDurationSeconds": 1, "renewTime": NOW}


@pytest.mark.parametrize(("left", "seconds"), [(10, 5), (3, 3), (0.5, 0.5), (0, 5), (-7, 5)])
def test_no_call_outlasts_what_is_left_of_the_lease(left: float, seconds: float) -> None:
    assert call_timeout(USUAL, left) == seconds


def test_a_write_that_a_holder_begins_has_ended_before_another_can_hold() -> None:
    assert USUAL.deadline + SHORT < USUAL.lease


def test_durations_are_read_as_they_are_written() -> None:
    assert durations("15/10/2") == USUAL
    assert durations("6/1.5/0.25") == Durations(lease=6, deadline=1.5, retry=0.25)


@pytest.mark.parametrize(
    "words",
    ["15", "15/10", "15/10/2/1", "a/b/c", "15/10/10", "15/10/0", "5/2/1", "nan/10/2"],
    ids=["one", "two", "four", "no numbers", "never renewed", "always renewed", "a write may outlast it", "unordered"],
)
def test_durations_under_which_two_could_write_are_refused(words: str) -> None:
    with pytest.raises(ValueError, match=r"lease: wanted .* found"):
        durations(words)


def test_times_are_written_as_kubernetes_writes_them() -> None:
    assert micro_time(1767312000.25) == NOW


class Server:
    """One lease, as a server keeps it."""

    def __init__(self) -> None:
        self.lease: Object | None = None
        self.silent = False
        self.lock = threading.Lock()

    def answer(self, asked: Asked) -> Answer:
        with self.lock:
            return Answer(events=(), silent=True) if self.silent else self.kept(asked)

    def kept(self, asked: Asked) -> Answer:
        if asked.verb == "GET":
            return Answer(404, {"message": "none"}) if self.lease is None else Answer(body=self.lease)
        before = "0" if self.lease is None else self.lease["metadata"]["resourceVersion"]
        if asked.body["metadata"].get("resourceVersion", "0") != before:
            return Answer(409, {"message": "changed"})
        meta = asked.body["metadata"] | {"resourceVersion": str(int(before) + 1)}
        self.lease = asked.body | {"metadata": meta}
        return Answer(body=self.lease)


def writes(asked: list[Asked]) -> list[Object]:
    return [one.body["spec"] for one in asked if one.verb != "GET"]


@contextmanager
def electing(kept: Server, folder: Path, monotonic: Callable[[], float]) -> Generator[tuple[Elector, Scripted]]:
    """An elector that asks often, and holds the lease."""
    with scripted(kept.answer, folder) as server:
        elector = Elector(server.connect(), "n", "controller", "me", USUAL._replace(retry=0.01), monotonic)
        elector.start()
        server.wait_for(lambda asked: len(writes(asked)) > 1)
        yield elector, server
        server.over.set()
        elector.release()


def test_a_holder_that_gets_no_answer_stops_acting_at_its_deadline(tmp_path: Path) -> None:
    kept, now = Server(), [100.0]
    with electing(kept, tmp_path, lambda: now[0]) as (elector, server):
        kept.silent = True
        before = len(server.asked)
        server.wait_for(lambda asked: len(asked) > before)
        acts: dict[float, bool] = {}
        for now[0] in (109.9, 110.0, 200.0):
            acts[now[0]] = elector.holds()
    assert acts == {109.9: True, 110.0: False, 200.0: False}


def test_a_holder_that_is_asked_to_go_gives_the_lease_up_and_acts_no_more(tmp_path: Path) -> None:
    with electing(Server(), tmp_path, lambda: 100.0) as (elector, server):
        elector.release()
        last = writes(server.asked)[-1]
        assert (elector.holds(), last["holderIdentity"], last["leaseDurationSeconds"]) == (False, "", 1)


def test_a_holder_that_finds_another_in_its_place_acts_no_more(tmp_path: Path) -> None:
    kept = Server()
    with electing(kept, tmp_path, lambda: 100.0) as (elector, server):
        with kept.lock:
            kept.lease = lease(1000, holderIdentity="other", leaseDurationSeconds=15)
        before = len(server.asked)
        server.wait_for(lambda asked: len(asked) > before + 3)
        assert not elector.holds()


def test_two_processes_of_one_name_are_two(tmp_path: Path) -> None:
    with scripted(Server().answer, tmp_path) as server:
        one, other = (Elector(server.connect(), "n", "controller", "me") for _ in range(2))
    assert one.identity != other.identity
