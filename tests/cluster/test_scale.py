# pyright: basic
"""Many pipelines at one controller: each job is made once, writes stay few, and an idle cluster is left alone."""

import os
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import quantiles

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fastgen_k8s.lifecycle.conditions import SUCCEEDED
from tests import s3_server
from tests.cluster import usage
from tests.cluster.api import Object, State
from tests.cluster.cluster import Cluster
from tests.cluster.controllers import Controller
from tests.cluster.crowd import Played, crowd
from tests.cluster.local import Local
from tests.cluster.pipelines import LEASES, PIPELINES, Place, new_place
from tests.cluster.simulated import JOBSETS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

FIRST, SECOND = "conditions", "pairs"
RATES = (3, 10)  # pipelines a second that arrive steadily
MINUTE = 60
RENEWALS = 150  # of a Lease: five minutes
FEW = 6.9  # writes of the API for a stage: six, and here and there one that comes too late


def two_stages(spec: Object) -> None:
    spec["stages"] = spec["stages"][:2]


@dataclass
class Numbers:
    """What a controller counts of itself."""

    writes: int  # a Lease is renewed by PUT, and nothing else is written so
    reads: int  # of the API, but lists and watches of caches are few
    store: int
    looks: int

    @classmethod
    def of(cls, controller: Controller) -> "Numbers":
        found = text_string_to_metric_families(controller.get("/metrics")[1])
        samples = [sample for family in found for sample in family.samples]

        def count(name: str, **labels: Iterable[str]) -> int:
            chosen = [one for one in samples if one.name == name and all(one.labels[k] in v for k, v in labels.items())]
            return int(sum(one.value for one in chosen))

        return cls(
            writes=count("fastgen_api_requests_total", verb=("POST", "PATCH", "DELETE")),
            reads=count("fastgen_api_requests_total", verb=("GET",)),
            store=count("fastgen_store_requests_seconds_count"),
            looks=count("fastgen_reconcile_seconds_count"),
        )

    def __sub__(self, other: "Numbers") -> "Numbers":
        return Numbers(*(mine - theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)))


def apply(place: Place, names: Sequence[str]) -> dict[str, float]:
    """Pipelines applied as fast as the server takes them; when each was there."""

    def one(name: str) -> float:
        place.apply(name, two_stages)
        return time.monotonic()

    with ThreadPoolExecutor(4) as pool:
        return dict(zip(names, pool.map(one, names), strict=True))


def renewed(place: Place, times: int) -> None:
    """Wait until the leader has renewed its Lease so often."""
    seen = set[str]()

    def enough(found: State) -> bool:
        seen.update(one["spec"]["renewTime"] for one in found.values())
        return len(seen) > times

    place.cluster.watch_until(LEASES, enough, place.namespace, timeout=60 + 5 * times)


def arriving(place: Place, names: Sequence[str], rate: int) -> dict[str, float]:
    """Pipelines applied at a steady rate; when each was there."""
    begun, applied = time.monotonic(), dict[str, float]()
    for number, name in enumerate(names):
        threading.Event().wait(max(0.0, begun + number / rate - time.monotonic()))
        place.apply(name, two_stages)
        applied[name] = time.monotonic()
    return applied


def ends(place: Place) -> set[tuple[str, str]]:
    """How pipelines have ended."""
    found = place.cluster.api.list(PIPELINES, place.namespace).values()
    return {
        (one["type"], one["status"])
        for item in found
        for one in item["status"]["conditions"]
        if one["type"] == SUCCEEDED
    }


def test_a_hundred_pipelines_have_each_job_made_once_by_few_writes_and_then_nothing_is_written(
    served: Cluster, store: s3_server.Server
) -> None:
    names = [f"p{number}" for number in range(100)]
    with new_place(served, store) as place, crowd(place, 2 * len(names), takes=1) as players:
        apply(place, names)
        with place.controller() as controller:
            played = players.played(timeout=240)
            assert played.twice == []
            assert played.of(SECOND).keys() == set(names)
            renewed(place, 1)  # what was under way has been written
            before = Numbers.of(controller)
            assert before.writes / len(played.jobs) <= FEW
            assert ends(place) == {(SUCCEEDED, "True")}
            renewed(place, 3)
            after = Numbers.of(controller)
            assert (after.writes, after.store, after.looks) == (before.writes, before.store, before.looks)
            assert place.cluster.api.list(JOBSETS, place.namespace) == {}
            assert controller.faults() == []


# --- figures ----------------------------------------------------------------------------------------------------------


@dataclass
class Span:
    """What the parties used of the processors, and the controller counted, from one moment to another."""

    controller: Controller
    parties: dict[str, int]  # process ids
    begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.before = self._now()

    def _now(self) -> tuple[Numbers, dict[str, float]]:
        return Numbers.of(self.controller), {name: usage.seconds(pid) for name, pid in self.parties.items()}

    def said(self, played: Played) -> str:
        """A line for a person."""
        stages = len(played.jobs)
        took, (numbers, used) = time.monotonic() - self.begun, self._now()
        spent = {name: used[name] - self.before[1][name] for name in used} | {"player": played.seconds}
        work = ", ".join(f"{name} {seconds / took:.2f}" for name, seconds in spent.items())
        made = numbers - self.before[0]
        return (
            f"{took:.0f} s at load {os.getloadavg()[0]:.1f}; cores: {work}; "
            f"a stage: {made.writes / stages:.2f} writes, "
            f"{made.reads / stages:.2f} reads, {made.store / stages:.2f} of the store, "
            f"{made.looks / stages:.2f} looks, "
            f"{1e3 * spent['controller'] / stages:.1f} ms of the controller"
        )


def spread(seconds: Iterable[float]) -> str:
    """Percentiles, in milliseconds."""
    cut = quantiles(seconds, n=100)
    return f"p50 {1e3 * cut[49]:.0f}, p90 {1e3 * cut[89]:.0f}, p99 {1e3 * cut[98]:.0f} ms"


def following(played: Played) -> list[float]:
    """From the end of each first stage's job to the second's."""
    second = played.of(SECOND)
    return [second[name].made - job.ended for name, job in played.of(FIRST).items()]


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("pipelines", [100, 1000])
def test_many_at_once_then_a_steady_flow_then_five_minutes_of_nothing(
    served: Cluster, machine: Local, store: s3_server.Server, pipelines: int
) -> None:
    parties = {name: machine.daemons[name].process.pid for name in ("etcd", "kube-apiserver")}
    with ExitStack() as stack:
        place = stack.enter_context(new_place(served, store))
        players = stack.enter_context(crowd(place, 2 * pipelines, takes=pipelines / 10))  # so that none ends too soon
        apply(place, [f"at-once-{number}" for number in range(pipelines)])

        controller = stack.enter_context(place.controller())
        assert controller.process.pid is not None
        parties["controller"] = controller.process.pid
        span = Span(controller, parties)
        burst = players.played(timeout=1800)
        print(f"\n{pipelines} at once: {span.said(burst)}")
        made = sorted(job.made for job in burst.of(FIRST).values())
        print(
            f"admitted {(pipelines - 1) / (made[-1] - made[0]):.0f} a second; stage to next {spread(following(burst))}"
        )

        flows = list[Played]()
        for rate in RATES:
            names = [f"of-{rate}-a-second-{number}" for number in range(rate * MINUTE)]
            players = stack.enter_context(crowd(place, 2 * len(names), takes=1))
            span = Span(controller, parties)
            applied = arriving(place, names, rate)
            flow = players.played(timeout=1800)
            flows.append(flow)
            print(f"{rate} a second: {span.said(flow)}")
            waited = [job.made - applied[name] for name, job in flow.of(FIRST).items()]
            print(f"admitted after {spread(waited)}; stage to next {spread(following(flow))}")

        renewed(place, 1)  # what was under way has been written
        before = Numbers.of(controller)
        renewed(place, RENEWALS)
        idle = Numbers.of(controller) - before
        print(f"idle: {idle}; at its peak the controller held {usage.peak(controller.process.pid):.0f} MiB")
        assert ([one.twice for one in (burst, *flows)], controller.faults()) == ([[]] * (1 + len(RATES)), [])
        assert (ends(place), place.cluster.api.list(JOBSETS, place.namespace)) == ({(SUCCEEDED, "True")}, {})
        assert (idle.writes, idle.store, idle.looks) == (0, 0, 0)
