# pyright: basic
"""The whole controller on a machine whose clock is set to and fro: no time of it counts or is written."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastgen_k8s.controller.children import RETRY
from fastgen_k8s.lifecycle.status import seconds
from tests import s3_server
from tests.cluster.api import Object
from tests.cluster.cluster import Cluster
from tests.cluster.pipelines import LEASE, LEASES, Place, ends, made, new_place, played, stage, succeeded
from tests.cluster.simulated import JOBSETS, Act

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

MINUTES, HOUR = 600, 3600.0  # seconds: within what an S3 store takes of a request's time, and beyond it
BACKOFF = 5  # seconds after a first failure
RENEWS, LOOKS = ("--lease-seconds", "60/50/2"), ("--lease-seconds", "60/50/0.2")  # often between two renewals
OFF_BY = "FASTGEN_CLOCK_IS_OFF_BY"
OF_ITS_OWN = f"""
import datetime as dates, os, sys, time
def off():
    with open(os.environ["{OFF_BY}"]) as file:
        return float(file.read())
now, now_ns = time.time, time.time_ns
time.time, time.time_ns = lambda: now() + off(), lambda: now_ns() + int(off() * 1e9)
class Shifted(dates.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)
    @classmethod
    def utcnow(cls):
        return cls.now(dates.UTC).replace(tzinfo=None)
dates.datetime = Shifted
from fastgen_k8s.controller.serve import main
sys.exit(main())
"""
"""A controller whose wall clock, and nothing else, is off by what a file says."""


class Clock:
    """The wall clock of controllers that are started with its environment."""

    def __init__(self, folder: Path) -> None:
        self._file, self._next = folder / "off", folder / "next"
        self.set(0.0)

    @property
    def environment(self) -> dict[str, str]:
        return {OFF_BY: str(self._file)}

    def set(self, off: float) -> None:
        self._next.write_text(str(off))
        self._next.replace(self._file)  # whoever reads it finds a number


@pytest.fixture
def place(served: Cluster, store: s3_server.Server) -> Iterator[Place]:
    with new_place(served, store) as made:
        yield made


def within_minutes(spec: Object) -> None:
    spec["deadline"] = MINUTES - 100
    spec["stages"][2] |= {"deadline": MINUTES - 100, "progressDeadlineSeconds": MINUTES - 100}


def one_crash(name: str, attempt: int) -> Act:
    return Act(1 if (name, attempt) == ("pairs", 1) else 0, forever=name == "kd")


MADE = [("conditions", 1), ("pairs", 1), ("pairs", 2), ("kd", 1)]
END = [("conditions", "Succeeded", 1, 0), ("pairs", "Succeeded", 2, 1), ("kd", "Succeeded", 1, 0)]


def times(found: object) -> Iterator[float]:
    """All times that an object says."""
    match found:
        case dict():
            for name, value in found.items():
                if isinstance(value, str) and name.endswith(("At", "Time", "Timestamp")):
                    yield seconds(value)
                else:
                    yield from times(value)
        case list():
            for value in found:
                yield from times(value)


def created(place: Place, job: str) -> float:
    return seconds(place.cluster.api.get(JOBSETS, job, place.namespace)["metadata"]["creationTimestamp"])


def renewed(place: Place) -> None:
    """Wait for a renewal of the lease."""
    before = place.lease()["renewTime"]
    place.cluster.wait_for(LEASES, LEASE, lambda found: found["spec"]["renewTime"] != before, place.namespace)


def looked_at(place: Place, mark: str) -> None:
    """Have the pipeline looked at, by a request that changes nothing: none of its stages has failed."""
    place.merge({"metadata": {"annotations": {RETRY: f"kd {mark}"}}})
    place.wait(lambda status: status.get("retried") == f"kd {mark}")


def test_while_the_clock_is_set_nothing_ends_early_or_is_done_twice_and_the_leader_stays(
    place: Place, tmp_path: Path
) -> None:
    began, clock = time.time(), Clock(tmp_path)
    place.environment |= clock.environment
    with played(place, one_crash) as simulated, place.controller(*RENEWS, program=OF_ITS_OWN) as leader:
        place.cluster.watch_until(LEASES, lambda found: LEASE in found, place.namespace)
        with place.controller(*LOOKS, program=OF_ITS_OWN) as standby:
            standby.ready()
            place.apply(change=within_minutes)
            failed = stage(place.wait(lambda status: stage(status, "pairs").get("failures") == 1), "pairs")
            clock.set(MINUTES)
            again = stage(place.wait(lambda status: stage(status, "pairs")["attempt"] == 2), "pairs")
            assert created(place, again["job"]) - seconds(failed["finishedAt"]) >= BACKOFF
            job = stage(place.wait(lambda status: stage(status, "kd")["state"] == "Running"), "kd")["job"]
            for off in (-MINUTES, 0.0, MINUTES):
                clock.set(off)
                renewed(place)  # by a call that may have begun before
                renewed(place)
                looked_at(place, f"at {off:.0f}")
            simulated.end(job)
            status = place.finished()
            assert (ends(status), made(simulated, place)) == (END, MADE)
            assert (leader.events.count("leads"), "leads no longer" in leader.events) == (1, False)
            assert "leads" not in standby.events
            assert leader.faults() + standby.faults() == []
    written = list(times([status, place.lease(), *place.cluster.api.list("events", place.namespace).values()]))
    assert began - 2 <= min(written) <= max(written) <= time.time() + 2
    said = [seconds(one["timestamp"]) for one in leader.said if isinstance(one, dict)]
    assert max(said) > time.time() + MINUTES / 2  # its clock was another indeed


def test_a_store_that_refuses_another_time_keeps_a_pipeline_waiting_which_says_so_and_goes_on(
    place: Place, tmp_path: Path
) -> None:
    clock = Clock(tmp_path)
    place.environment |= clock.environment
    with played(place, one_crash) as simulated, place.controller(program=OF_ITS_OWN) as controller:
        place.apply(change=within_minutes)
        place.wait(lambda status: stage(status, "pairs").get("failures") == 1)
        clock.set(HOUR)
        waits = place.wait(lambda status: succeeded(status)["reason"] == "StoreUnreadable")
        assert "wanted a clock that goes with the store's" in succeeded(waits)["message"]
        assert ends(waits)[1] == ("pairs", "Waiting", 1, 1)
        renewed(place)  # the leader stays, and by now the pipeline waits for nothing but its next look
        renewed(place)
        clock.set(0.0)
        job = stage(place.wait(lambda status: stage(status, "kd")["state"] == "Running"), "kd")["job"]
        simulated.end(job)
        assert (ends(place.finished()), made(simulated, place)) == (END, MADE)
        assert controller.faults() == []
