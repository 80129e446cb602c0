# pyright: basic
"""A controller that is killed leaves a pipeline that the next one brings to the same end, with no job made twice."""

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import pytest

from tests import s3_server
from tests.cluster.api import Object
from tests.cluster.calls import READ, WRITES, WRITTEN, call
from tests.cluster.cluster import Cluster
from tests.cluster.controllers import Controller
from tests.cluster.pipelines import Place, ends, made, new_place, played, stage, succeeded
from tests.cluster.proxy import Proxy, proxy
from tests.cluster.simulated import JOBSETS, Act

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

AT_ONCE = 6  # pipelines: most of one's time is the back-off after its crash
FEW_FAILURES = 3  # of the same test tell as much as all
Moment = Literal["before", "after"]
T = TypeVar("T")


class Calls:
    """Tells a controller's calls apart, and kills it at one of them: before it is passed on, or when it is done."""

    def __init__(self, front: Proxy, chosen: str | None, moment: Moment) -> None:
        self.chosen, self.moment = chosen, moment
        self.victim: Future[Controller] = Future()
        self.made: list[str] = []  # each a kind and its number among those: POST events 2
        self.killed = False
        self.over = threading.Event()
        self._kinds: Counter[str] = Counter()
        self._removed: set[str] = set()
        front.on_request, front.on_answer = self._request, self._answer

    def _request(self, _: int, verb: str, path: str) -> None:
        if self.moment == "before" and self._is_chosen(verb, path):
            self._kill()
            raise ConnectionAbortedError  # whoever asked is dead, and the server never heard of it

    def _answer(self, _: int, verb: str, path: str) -> None:
        if self.moment == "after" and verb in WRITES and self._is_chosen(verb, path):
            self._kill()
        elif verb == "DELETE":
            self._removed.add(path)
            if len(self._removed) == len(MADE):  # the last thing that is done
                self.over.set()

    def _is_chosen(self, verb: str, path: str) -> bool:
        kind = call(verb, path)
        if kind is None:
            return False
        self._kinds[kind] += 1
        self.made.append(f"{kind} {self._kinds[kind]}")
        return self.made[-1] == self.chosen

    def _kill(self) -> None:
        self.victim.result().kill()
        self.killed = True
        self.over.set()


# --- at every call ----------------------------------------------------------------------------------------------------

MADE = [("conditions", 1), ("pairs", 1), ("pairs", 2)]
END = [("conditions", "Succeeded", 1, 0), ("pairs", "Succeeded", 2, 1)]


def one_crash(name: str, attempt: int) -> Act:
    return Act(1 if (name, attempt) == ("pairs", 1) else 0)


def two_stages(spec: Object) -> None:
    spec |= {"stages": spec["stages"][:2], "cleanup": "always"}


def run(chosen: str | None, moment: Moment, cluster: Cluster, store: s3_server.Server, folder: Path) -> Calls:
    """A pipeline whose controller is killed at a call; the next one takes it to its end."""
    with new_place(cluster, store) as place, proxy(cluster.api) as front, played(place, one_crash) as simulated:
        calls = Calls(front, chosen, moment)
        try:
            place.apply(change=two_stages)
            with place.fork("--lease", "first", through=front.kubeconfig(folder)) as first:
                calls.victim.set_result(first)
                assert calls.over.wait(120), f"neither its call nor its end, but {calls.made}, {place.get()['status']}"
            assert first.faults() == []
            with place.fork("--lease", "second") as second:
                status = place.finished()
                cluster.watch_until(JOBSETS, lambda found: not found, place.namespace)
            assert second.faults() == []
            assert made(simulated, place) == MADE
            assert (succeeded(status)["status"], ends(status)) == ("True", END)
        except Exception as error:
            error.add_note(f"{'killed' if calls.killed else 'to be killed'} {moment} {chosen}, in {place.namespace}")
            raise
    return calls


def for_each(cases: Iterable[T], one: Callable[[T], None]) -> None:
    """Run some at once, until all are done or too many have failed."""
    failures = list[Exception]()

    def work(case: T) -> None:
        if len(failures) < FEW_FAILURES:
            try:
                one(case)
            except Exception as error:  # noqa: BLE001  # of any kind: all are raised at the end
                failures.append(error)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(work, cases))
    if failures:
        raise ExceptionGroup("wanted the same end from all, found others", failures)


def first_and_last(made: Sequence[str]) -> list[str]:
    """Of each kind of call its first one and its last one."""
    first = {call.rpartition(" ")[0]: call for call in reversed(made)}
    last = {call.rpartition(" ")[0]: call for call in made}
    return [call for call in made if call in {*first.values(), *last.values()}]


@pytest.mark.parametrize(("moment", "kinds"), [("before", READ | WRITTEN), ("after", WRITTEN)])
@pytest.mark.parametrize("choose", [first_and_last, pytest.param(list[str], id="all", marks=pytest.mark.soak)])
def test_killed_at_any_call_it_leaves_what_the_next_brings_to_the_same_end(
    served: Cluster,
    store: s3_server.Server,
    tmp_path: Path,
    moment: Moment,
    kinds: set[str],
    choose: Callable[[Sequence[str]], list[str]],
    record_property: Callable[[str, object], None],
) -> None:
    undisturbed = run(None, moment, served, store, tmp_path)
    killed = list[str]()

    def one(chosen: str) -> None:
        if run(chosen, moment, served, store, tmp_path).killed:  # two runs may differ by a call
            killed.append(chosen)

    for_each(choose(undisturbed.made), one)
    record_property("kills", len(killed))
    print(f"\nkilled {moment} {len(killed)} of {len(undisturbed.made)} calls")
    assert kinds <= {chosen.rpartition(" ")[0] for chosen in killed}


# --- at random moments ------------------------------------------------------------------------------------------------

STOPPED_MADE = [("conditions", 1), ("pairs", 1), ("pairs", 2), ("kd", 1), ("kd", 2)]
STOPPED_END = [
    ("conditions", "Succeeded", 1, 0),
    ("pairs", "Succeeded", 2, 0),
    ("kd", "Succeeded", 2, 0),
]  # counted anew


def crash_and_stop(name: str, attempt: int) -> Act:
    return Act(1 if (name, attempt) == ("pairs", 1) else 0, forever=(name, attempt) == ("kd", 1))


@dataclass
class Lives:
    """Controllers, one after the other, each killed some time after its call of some number; the last one lives on."""

    place: Place
    folder: Path
    moments: list[tuple[int, float]]
    kills: int = 0
    faults: list[object] = field(default_factory=list)
    reached: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> None:
        for number, (calls, seconds) in enumerate([*self.moments, (0, 0.0)]):
            with proxy(self.place.cluster.api) as front:
                self._await(front, calls)
                with self.place.fork("--lease", f"life-{number}", through=front.kubeconfig(self.folder)) as one:
                    if not self.over.is_set():
                        self.reached.wait()
                    self.over.wait(seconds)
            self.faults += one.faults()
            if self.over.is_set():
                return
            self.kills += 1

    def end(self) -> None:
        self.over.set()
        self.reached.set()

    def _await(self, front: Proxy, calls: int) -> None:
        reached, made = threading.Event(), itertools.count(1)

        def count(_: int, verb: str, path: str) -> None:
            if call(verb, path) and next(made) == calls:
                reached.set()

        self.reached = reached
        front.on_request = count


def live(seed: int, cluster: Cluster, store: s3_server.Server, folder: Path) -> int:
    """A pipeline with a crash, stopped and resumed by a person, whose controllers are killed; how often."""
    draws = random.Random(seed)
    moments = [(draws.randint(1, 30), draws.uniform(0, 0.1)) for _ in range(draws.randint(1, 3))]
    with new_place(cluster, store) as place, played(place, crash_and_stop) as simulated, ThreadPoolExecutor() as pool:
        lives = Lives(place, folder, moments)
        try:
            place.apply()
            living = pool.submit(lives)
            try:
                place.wait(lambda status: stage(status, "kd")["state"] == "Running")
                place.merge({"spec": {"suspend": True}})
                place.wait(lambda status: succeeded(status)["reason"] == "Suspended")
                assert len(place.jobs()) == 1  # the one that crashed
                place.merge({"spec": {"suspend": False}})
                status = place.finished()
            finally:
                lives.end()
            living.result()
            assert lives.faults == []
            assert made(simulated, place) == STOPPED_MADE
            assert (succeeded(status)["status"], ends(status)) == ("True", STOPPED_END)
            assert lives.kills
        except Exception as error:
            error.add_note(f"seed {seed}: after {lives.kills} kills of those at {moments}; {place.namespace}")
            raise
    return lives.kills


@pytest.mark.parametrize(
    "seeds",
    [
        pytest.param(range(AT_ONCE), id="few"),
        pytest.param(range(AT_ONCE, 1000), id="many", marks=[pytest.mark.soak, pytest.mark.timeout(3 * 3600)]),
    ],
)
def test_killed_at_any_moment_the_next_goes_on_where_it_was(
    served: Cluster,
    store: s3_server.Server,
    tmp_path: Path,
    seeds: range,
    record_property: Callable[[str, object], None],
) -> None:
    kills = list[int]()

    def one(seed: int) -> None:
        kills.append(live(seed, served, store, tmp_path))

    for_each(seeds, one)
    record_property("kills", sum(kills))
    print(f"\n{len(kills)} pipelines, {sum(kills)} kills")
    assert len(kills) == len(seeds)
