# pyright: basic
"""The whole controller while the API server is away, breaks off or forgets: it waits, goes on, does nothing twice."""

import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from tests import s3_server
from tests.cluster.asked import ABSENT, INSTALLED, Since, in_an_outage, of_a_copy, of_an_absent_kind
from tests.cluster.cluster import Cluster
from tests.cluster.conditions import holds
from tests.cluster.local import Local
from tests.cluster.pipelines import ONCE, UNDISTURBED, Place, ends, made, new_place, played, stage, succeeded
from tests.cluster.proxy import Proxy
from tests.cluster.simulated import JOBSETS, Act

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(300),
    # Python's ssl (3.11) leaves to the collector a socket whose peer breaks off between connection and handshake, as a
    # server that is stopped does to whoever of this process asks it then.
    pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning"),
]

DURATIONS, RETRY = "10/5/1", 1.0


@pytest.fixture
def place(served: Cluster, store: s3_server.Server) -> Iterator[Place]:
    with new_place(served, store) as made:
        yield made


# --- away -------------------------------------------------------------------------------------------------------------

OUTAGES: dict[str, Callable[[Proxy, Local], AbstractContextManager[None]]] = {
    "connections are refused": lambda front, _: front.refusing(),
    "nothing is answered": lambda front, _: front.hanging(),
    "its process is another": lambda _, machine: machine.without_api(),
}


class Held:
    """The answer that a stage's job is made: held back until it is told to go on."""

    def __init__(self, front: Proxy, job: str) -> None:
        self.reached, self.passed, self._job = threading.Event(), threading.Event(), job
        front.on_answer = self._hold

    def _hold(self, _: int, verb: str, path: str) -> None:
        if verb == "PATCH" and self._job in path and not self.reached.is_set():
            self.reached.set()
            self.passed.wait(60)


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
def test_after_an_outage_that_begins_when_a_job_is_made_the_pipeline_goes_on_and_meanwhile_little_is_asked(
    place: Place,
    front: Proxy,
    machine: Local,
    tmp_path: Path,
    outage: Callable[[Proxy, Local], AbstractContextManager[None]],
) -> None:
    made_pairs = Held(front, "/jobsets/tiny-pairs-")
    with (
        played(place) as simulated,
        place.fork("--lease-seconds", DURATIONS, through=front.kubeconfig(tmp_path)) as controller,
    ):
        place.apply()
        assert made_pairs.reached.wait(60)
        since = Since(front)
        with outage(front, machine):
            made_pairs.passed.set()
            front.wait_for(lambda _: "leads no longer" in controller.events)
            assert len(since.requests) <= in_an_outage(since.seconds, RETRY)
            assert controller.get("/healthz")[0] == 200
        assert ends(place.finished()) == UNDISTURBED, controller.said
        assert made(simulated, place) == ONCE
        assert (place.lease()["leaseTransitions"], controller.events.count("leads")) == (0, 2)
        assert controller.faults() == []


def test_a_job_that_nobody_could_be_told_of_is_an_attempt_although_it_ends_before_it_is_listed(
    place: Place, front: Proxy, tmp_path: Path
) -> None:
    made_pairs, listed = Held(front, "/jobsets/tiny-pairs-"), threading.Event()

    def list_once(_: int, verb: str, path: str) -> None:
        if path.endswith("/jobsets") and front.requests.count(("GET", path)) + (verb == "WATCH") > 1:
            listed.wait(100)

    front.on_request = list_once
    with (
        played(place) as simulated,
        place.fork("--lease-seconds", DURATIONS, through=front.kubeconfig(tmp_path)) as controller,
    ):
        place.apply()
        assert made_pairs.reached.wait(60)
        with front.refusing():
            made_pairs.passed.set()
            [pairs] = [name for name in place.jobs() if name.startswith("tiny-pairs-")]
            place.cluster.wait_for(JOBSETS, pairs, lambda job: holds(job, "Completed"), place.namespace)
        try:
            assert ends(place.finished()) == UNDISTURBED, controller.said
        finally:
            listed.set()
        place.cluster.watch_until(JOBSETS, lambda found: not found, place.namespace)  # each is removed as its stage's
        assert made(simulated, place) == ONCE


def test_a_controller_that_finds_no_server_lives_is_not_ready_and_begins_when_there_is_one(
    place: Place, front: Proxy, tmp_path: Path
) -> None:
    place.apply()
    with played(place) as simulated, ExitStack() as stack:
        with front.refusing():
            since = Since(front)
            controller = stack.enter_context(place.fork(through=front.kubeconfig(tmp_path)))
            front.wait_for(lambda asked: len(asked) >= 30)
            assert len(since.requests) <= in_an_outage(since.seconds, retry=2.0)
            assert (controller.get("/healthz")[0], controller.get("/readyz")[0]) == (200, 503)
        assert ends(place.finished()) == UNDISTURBED
        assert made(simulated, place) == ONCE
        assert controller.faults() == []


# --- broken off -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [410, 500])
def test_a_pipeline_runs_although_every_watch_ends_with_an_error_and_lists_are_not_asked_for_in_a_hurry(
    place: Place, front: Proxy, tmp_path: Path, code: int
) -> None:
    def spoil(_: int, verb: str, path: str) -> None:
        if verb == "WATCH":
            said = {"kind": "Status", "apiVersion": "v1", "code": code, "message": "injected"}
            front.inject(path, {"type": "ERROR", "object": said})

    front.on_request = spoil
    since = Since(front)
    with played(place) as simulated, place.fork(through=front.kubeconfig(tmp_path)) as controller:
        place.apply()
        assert ends(place.finished()) == UNDISTURBED
        lists = Counter(since.lists(*INSTALLED))
        assert max(lists.values()) <= 1 + of_a_copy(since.seconds)  # a version that is too old is left at once, once
        assert made(simulated, place) == ONCE
        assert controller.faults() == []


@contextmanager
def cutting(front: Proxy) -> Generator[list[int]]:
    """All connections break every second; how many there were each time."""
    over, cuts = threading.Event(), list[int]()

    def cut() -> None:
        while not over.wait(1.0):
            cuts.append(len(front.open))
            front.cut()

    thread = threading.Thread(target=cut, daemon=True)
    thread.start()
    try:
        yield cuts
    finally:
        over.set()
        thread.join()


def test_a_pipeline_runs_although_all_connections_break_every_second_and_nothing_is_listed_again(
    place: Place, front: Proxy, tmp_path: Path
) -> None:
    with (
        played(place, lambda name, _: Act(after=1.5)) as simulated,
        place.fork(through=front.kubeconfig(tmp_path)) as controller,
    ):
        controller.ready()
        since = Since(front)
        with cutting(front) as cuts:
            place.apply()
            assert ends(place.finished()) == UNDISTURBED
        assert len(cuts) >= 3
        assert since.lists(*INSTALLED) == []
        assert len(since.lists(*ABSENT)) <= len(ABSENT) * of_an_absent_kind(since.seconds)
        assert made(simulated, place) == ONCE
        assert controller.faults() == []


# --- while nobody looked ----------------------------------------------------------------------------------------------


def test_a_job_that_was_deleted_while_no_controller_ran_is_made_anew_and_not_counted(place: Place) -> None:
    def play(name: str, attempt: int) -> Act:
        return Act(forever=(name, attempt) == ("kd", 1))

    with played(place, play) as simulated:
        with place.fork("--lease", "first") as first:
            place.apply()
            job = stage(place.wait(lambda status: stage(status, "kd")["state"] == "Running"), "kd")["job"]
        place.cluster.api.delete(JOBSETS, job, place.namespace)
        with place.fork("--lease", "second") as second:
            status = place.finished()
        assert (ends(status)[:2], ends(status)[2]) == (UNDISTURBED[:2], ("kd", "Succeeded", 2, 0))
        assert made(simulated, place) == [*ONCE, ("kd", 2)]
        assert first.faults() + second.faults() == []


def test_a_job_that_ended_and_was_deleted_while_no_controller_ran_is_not_made_again(place: Place) -> None:
    with played(place, lambda name, _: Act(after=1.0 if name == "kd" else 0.0)) as simulated:
        with place.fork("--lease", "first") as first:
            place.apply()
            job = stage(place.wait(lambda status: stage(status, "kd")["state"] == "Running"), "kd")["job"]
        place.cluster.wait_for(JOBSETS, job, lambda found: bool(found.get("status")), place.namespace)
        place.cluster.api.delete(JOBSETS, job, place.namespace)
        with place.fork("--lease", "second") as second:
            assert ends(place.finished()) == UNDISTURBED
        assert made(simulated, place) == ONCE
        assert first.faults() + second.faults() == []


# --- nothing to do ----------------------------------------------------------------------------------------------------


def test_a_controller_with_nothing_to_do_renews_its_lease_looks_for_absent_kinds_and_asks_for_nothing_else(
    place: Place, front: Proxy, tmp_path: Path
) -> None:
    with played(place), place.fork(through=front.kubeconfig(tmp_path)) as controller:
        place.apply()
        assert succeeded(place.finished())["status"] == "True"
        place.cluster.watch_until(JOBSETS, lambda found: not found, place.namespace)
        place.cluster.watch_until("pods", lambda found: not found, place.namespace)
        renewed(front, 1)
        since = Since(front)
        renewed(front, 7)
        asked = Counter(since.requests)
        election = {verb: asked.pop((verb, path)) for verb, path in list(asked) if "/leases/" in path}
        assert sum(asked.values()) == len(since.lists(*ABSENT)) <= len(ABSENT) * of_an_absent_kind(since.seconds)
        assert election["GET"] - 1 <= election["PUT"] <= election["GET"]
        assert controller.faults() == []


def renewed(front: Proxy, times: int) -> None:
    """Wait for so many renewals of the lease."""

    def renewals(asked: list[tuple[str, str]]) -> int:
        return sum(verb == "PUT" and "/leases/" in path for verb, path in asked)

    before = renewals(front.requests)
    front.wait_for(lambda asked: renewals(asked) >= before + times)
