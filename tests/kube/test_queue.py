"""Keys wait for their time, one worker has a key at a time, and nothing that was added is forgotten."""

import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fastgen_k8s.kube.queue import Agenda, Queue, backoff

KEYS = st.sampled_from("abc")
SECONDS = st.integers(0, 9)


class AgendaAgainstAModel(RuleBasedStateMachine):
    """The model: for each key the earliest time that was asked for since it was last taken."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.agenda: Agenda[str] = Agenda()
        self.wanted: dict[str, int] = {}
        self.taken: set[str] = set()
        self.known: set[str] = set()

    def want(self, key: str, when: int) -> None:
        self.wanted[key] = min(when, self.wanted.get(key, when))

    @property
    def due(self) -> dict[str, int]:
        return {key: when for key, when in self.wanted.items() if key not in self.taken}

    @rule(key=KEYS, after=SECONDS)
    def add(self, key: str, after: int) -> None:
        self.agenda.add(key, self.now + after)
        self.want(key, self.now + after)

    @rule()
    def take(self) -> None:
        found, due = self.agenda.take(self.now), {key: when for key, when in self.due.items() if when <= self.now}
        if found is None:
            assert not due
            return
        key, when = found
        known = {key: when for key, when in due.items() if key in self.known}
        assert due[key] == when == min((known or due).values())
        assert key in (known or due)
        del self.wanted[key]
        self.taken.add(key)

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), after=st.none() | SECONDS, looked=st.booleans())
    def done(self, data: st.DataObject, after: int | None, looked: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.taken)))
        self.taken.remove(key)
        self.agenda.done(key, None if after is None else self.now + after, looked=looked)
        if after is None:
            self.known.discard(key)
            return
        self.known |= {key} if looked else set()
        self.want(key, self.now + after)

    @rule(seconds=SECONDS)
    def later(self, seconds: int) -> None:
        self.now += seconds

    @invariant()
    def agrees(self) -> None:
        assert self.agenda.waiting(self.now) == sum(when <= self.now for when in self.due.values())
        assert self.agenda.first() == min(self.due.values(), default=None)


TestAgendaAgainstAModel = AgendaAgainstAModel.TestCase


@pytest.mark.parametrize(
    ("failures", "cap", "draw", "seconds"),
    [(1, 60, 0, 0.25), (1, 60, 1, 0.5), (2, 60, 1, 1), (5, 60, 1, 8), (9, 60, 1, 60), (5000, 60, 1, 60), (3, 1, 1, 1)],
)
def test_each_failure_in_a_row_doubles_the_wait_up_to_the_cap(
    failures: int, cap: float, draw: float, seconds: float
) -> None:
    assert backoff(failures, cap, draw) == seconds


def start(target: Callable[..., object], *arguments: object) -> threading.Thread:
    """A thread that a failed test does not wait for."""
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread


class Clock:
    """A time that tests move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def failed_in_a_row(queue: Queue[str], clock: Clock, times: int) -> None:
    for _ in range(times):
        clock.now += 60
        key = queue.get()
        assert key is not None
        queue.fail(key, cap=60)


def test_a_success_ends_the_row_of_failures() -> None:
    clock = Clock()
    queue: Queue[str] = Queue(clock, draw=lambda: 1.0)
    queue.add("a")
    failed_in_a_row(queue, clock, 4)
    clock.now += 4
    assert queue.get() == "a"
    queue.done("a", after=0.0)
    failed_in_a_row(queue, clock, 1)
    clock.now += 0.5
    assert queue.get() == "a"


def test_what_is_added_during_a_back_off_is_not_put_off() -> None:
    clock = Clock()
    queue: Queue[str] = Queue(clock)
    queue.add("a")
    failed_in_a_row(queue, clock, 5)
    queue.add("a")
    assert queue.get() == "a"


def test_how_long_a_key_waited_counts_from_when_it_was_due() -> None:
    clock, waits = Clock(), list[float]()
    queue: Queue[str] = Queue(clock, waited=waits.append)
    queue.add("a", after=10)
    clock.now = 13
    queue.get()
    assert waits == [3]


def test_what_is_under_way_does_not_wait_for_many_that_are_new() -> None:
    clock = Clock()
    queue: Queue[str] = Queue(clock)
    for key, back in (("put off", queue.put_off), ("under way", queue.done)):
        queue.add(key)
        queue.get()
        back(key, 1)
    queue.add("new")
    clock.now = 2
    assert [queue.get() for _ in range(3)] == ["under way", "new", "put off"]


def test_closing_wakes_everybody_and_hands_out_nothing_more() -> None:
    queue: Queue[str] = Queue()
    queue.add("later", after=3600)
    got: list[str | None] = []
    waiting = [start(lambda: got.append(queue.get())) for _ in range(3)]
    queue.close()
    queue.add("now")
    for thread in waiting:
        thread.join()
    assert [*got, queue.get()] == [None] * 4


def test_a_busy_worker_does_not_hold_up_the_others() -> None:
    queue: Queue[str] = Queue()
    second = threading.Event()

    def work() -> None:
        while (key := queue.get()) is not None:
            if key == "first":
                second.wait()
            else:
                second.set()
            queue.done(key, after=None)

    workers = [start(work) for _ in range(3)]
    queue.add("first", after=0.05)
    queue.add("second", after=0.1)
    assert second.wait(60)
    queue.close()
    for thread in workers:
        thread.join()


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads that change over a thousand times as often as they do otherwise."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 1000)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("hasty_threads")
def test_between_threads_no_key_is_handled_twice_at_once_and_no_addition_is_lost() -> None:
    queue: Queue[int] = Queue()
    wanted, seen, inside = Counter[int](), Counter[int](), Counter[int]()
    overlaps: list[int] = []
    handled = threading.Condition()

    def work(draw: random.Random) -> None:
        while (key := queue.get()) is not None:
            inside[key] += 1
            if inside[key] != 1:
                overlaps.append(key)
            version = wanted[key]
            inside[key] -= 1
            if draw.random() < 0.1:
                queue.fail(key, cap=0.001)
                continue
            with handled:
                seen[key] = version
                queue.done(key, after=0.01 if draw.random() < 0.1 else None)
                handled.notify()

    def add(keys: range, draw: random.Random) -> None:
        for _ in range(1000):
            key = draw.choice(keys)
            wanted[key] += 1
            queue.add(key, after=draw.random() * 0.002)

    workers = [start(work, random.Random(n)) for n in range(4)]
    adders = [start(add, range(n * 5, n * 5 + 5), random.Random(n)) for n in range(4)]
    for thread in adders:
        thread.join()
    with handled:
        assert handled.wait_for(lambda: seen == wanted, timeout=60)
    queue.close()
    for thread in workers:
        thread.join()
    assert not overlaps
