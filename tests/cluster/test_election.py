# pyright: basic
"""Of several controllers at most one acts, whatever the API server and the way to it do."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import combinations
from pathlib import Path

import pytest

from fastgen_k8s.kube.lease import Durations, Elector
from tests.cluster.api import Api, Object
from tests.cluster.cluster import Cluster
from tests.cluster.local import Local
from tests.cluster.pipelines import LEASES
from tests.cluster.proxy import Proxy

pytestmark = pytest.mark.cluster

SHORT = Durations(lease=3, deadline=2, retry=0.4)
ENDLESS = Durations(lease=3600, deadline=3000, retry=0.2)  # nobody can wait for the end of such a lease


class Voter:
    """An elector with a way to the API server of its own."""

    def __init__(self, api: Api, namespace: str, folder: Path, durations: Durations) -> None:
        self.front = Proxy(api)
        self.connection = self.front.connect(folder)
        self.elector = Elector(self.connection, namespace, "controller", "voter", durations)
        self.elector.start()

    def holds(self) -> bool:
        return self.elector.holds()

    def close(self) -> None:
        self.elector.release()
        self.front.close()
        self.connection.close()


class Observer(threading.Thread):
    """Looks at all voters as often as it can, for two that hold at one time."""

    def __init__(self, voters: list[Voter]) -> None:
        super().__init__(daemon=True)
        self.voters, self.looks, self.over = voters, 0, threading.Event()
        self.overlaps: list[tuple[str, str]] = []

    def run(self) -> None:
        while not self.over.wait(0.0005):
            self.looks += 1
            for one, other in combinations(list(self.voters), 2):
                if one.holds() and other.holds() and one.holds():  # the third: it was not handed over in between
                    self.overlaps.append((one.elector.identity, other.elector.identity))


@pytest.fixture
def namespace(api: Cluster) -> Iterator[str]:
    with api.namespace("election") as name:
        yield name


@pytest.fixture
def vote(api: Cluster, namespace: str, tmp_path: Path) -> Iterator[Callable[[Durations], Voter]]:
    """Let one more take part."""
    with ExitStack() as stack:

        def voter(durations: Durations) -> Voter:
            made = Voter(api.api, namespace, tmp_path, durations)
            stack.callback(made.close)
            return made

        yield voter


def wait_until(done: Callable[[], bool]) -> None:
    """Nothing tells when a lease is held, so this looks."""
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.005)


def lease(api: Cluster, namespace: str) -> Object:
    return api.api.get(LEASES, "controller", namespace)["spec"]


def test_one_of_three_leads_and_says_so_in_the_lease(
    api: Cluster, namespace: str, vote: Callable[[Durations], Voter]
) -> None:
    voters = [vote(ENDLESS) for _ in range(3)]
    wait_until(lambda: any(one.holds() for one in voters))
    [leader] = [one for one in voters if one.holds()]
    spec = lease(api, namespace)
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == (leader.elector.identity, 0)


def test_a_leader_that_is_asked_to_go_hands_over_without_waiting_for_the_end_of_the_lease(
    api: Cluster, namespace: str, vote: Callable[[Durations], Voter]
) -> None:
    first = vote(ENDLESS)
    wait_until(first.holds)
    second = vote(ENDLESS)
    first.elector.release()
    wait_until(second.holds)
    assert (first.holds(), lease(api, namespace)["leaseTransitions"]) == (False, 1)


def test_a_renewed_lease_keeps_its_count_and_its_beginning(
    api: Cluster, namespace: str, vote: Callable[[Durations], Voter]
) -> None:
    leader = vote(ENDLESS)
    wait_until(leader.holds)
    before = lease(api, namespace)
    leader.front.wait_for(lambda asked: len([verb for verb, _ in asked if verb == "PUT"]) >= 2)
    after = lease(api, namespace)
    assert after["renewTime"] > before["renewTime"]
    assert {**after, "renewTime": ""} == {**before, "renewTime": ""}


@pytest.mark.parametrize("outage", [Proxy.refusing, Proxy.hanging])
def test_a_leader_that_loses_the_server_stops_before_another_leads_and_can_lead_again(
    vote: Callable[[Durations], Voter], outage: Callable[[Proxy], AbstractContextManager[None]]
) -> None:
    first = vote(SHORT)
    wait_until(first.holds)
    second = vote(SHORT)
    observer = Observer([first, second])
    observer.start()
    with outage(first.front):
        wait_until(second.holds)
    second.elector.release()
    wait_until(first.holds)
    observer.over.set()
    observer.join()
    assert not observer.overlaps


def test_while_the_server_itself_is_stopped_nobody_leads_and_afterwards_one_does(
    machine: Local, vote: Callable[[Durations], Voter]
) -> None:
    voters = [vote(SHORT) for _ in range(2)]
    wait_until(lambda: any(one.holds() for one in voters))
    with stopped(machine.daemons["kube-apiserver"].process.pid):
        wait_until(lambda: not any(one.holds() for one in voters))
    wait_until(lambda: any(one.holds() for one in voters))
    assert all(one.elector.is_alive() for one in voters)


class Chaos:
    """Three voters, an observer, and what can befall them; each ends with somebody leading."""

    def __init__(self, server: int, vote: Callable[[Durations], Voter]) -> None:
        self.server, self.vote = server, vote
        self.voters = [vote(SHORT) for _ in range(3)]
        self.observer = Observer(self.voters)
        self.observer.start()

    def leader(self) -> Voter:
        leading: list[Voter] = []
        wait_until(lambda: bool(leading.extend(one for one in self.voters if one.holds()) or leading))
        return leading[0]

    def another(self, than: Voter) -> None:
        wait_until(lambda: any(one.holds() for one in self.voters if one is not than))

    def nobody(self) -> None:
        wait_until(lambda: not any(one.holds() for one in self.voters))

    def cut_off(self) -> None:
        leader = self.leader()
        with leader.front.refusing():
            self.another(leader)

    def left_hanging(self) -> None:
        leader = self.leader()
        with leader.front.hanging():
            self.another(leader)

    def asked_to_go(self) -> None:
        leader = self.leader()
        leader.elector.release()
        self.another(leader)
        self.voters[self.voters.index(leader)] = self.vote(SHORT)

    def broken_connections(self) -> None:
        self.leader()
        for one in self.voters:
            one.front.cut()

    def all_hanging(self) -> None:
        self.leader()
        with ExitStack() as stack:
            for one in self.voters:
                stack.enter_context(one.front.hanging())
            self.nobody()

    def server_stopped(self) -> None:
        self.leader()
        with stopped(self.server):
            self.nobody()

    def befall(self, what: list[Callable[["Chaos"], None]]) -> Observer:
        """All of this, one after the other; who was seen holding."""
        for one in what:
            one(self)
        self.leader()
        self.observer.over.set()
        self.observer.join()
        return self.observer


@contextmanager
def stopped(process: int) -> Generator[None]:
    """A process that does nothing for a while, and does not know it."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


FAULTS = [
    Chaos.cut_off,
    Chaos.left_hanging,
    Chaos.asked_to_go,
    Chaos.broken_connections,
    Chaos.all_hanging,
    Chaos.server_stopped,
]


@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.soak)])
def test_whatever_happens_there_are_never_two_leaders(
    machine: Local, vote: Callable[[Durations], Voter], times: int
) -> None:
    what = FAULTS * times
    random.Random(times).shuffle(what)
    observer = Chaos(machine.daemons["kube-apiserver"].process.pid, vote).befall(what)
    assert observer.looks > 100
    assert not observer.overlaps
