"""Trainings that lose one thing after the other, and still end with the losses of an undisturbed run.

Each of two jobs goes through its faults in the order of this file: one of three pods that trains only when all are
there, and one that also goes on smaller. A test waits until all train again, and notes how long it took (`pytest -rP`,
or the junit report). Nothing is asserted of a time.
"""

import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.artifacts.metrics import read_metrics
from tests.cluster import pods
from tests.cluster.cluster import Cluster
from tests.cluster.conditions import holds
from tests.cluster.launched import Listener, Place
from tests.processes.runs import Run, largest_difference

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

TRAINERS = 3
SETTINGS = ("train.global_batch=96", "train.ema={decay: 0.9, start: 0}", "optimisation.student.lr=0.0001")
"""At this rate two worlds stay within 2e-7 of each other for 300 steps, and a lost update would show as 1e-4; at the
experiment's own rate rounding alone grows tenfold every 50 steps."""
THREE, ELASTIC = 40.0, 80.0  # seconds that one process would need: enough for all faults, whatever the machine
EXPERIMENT = "closed_form/gaussian_kd"


class Training:
    """The job, and what its pods say."""

    def __init__(self, place: Place, job: str, steps: int) -> None:
        self.place, self.job, self.steps = place, job, steps
        self.cluster, self.namespace = place.cluster, place.namespace
        self.said = Listener(place, job)

    def pod(self, trainer: int) -> str:
        """The running pod of a trainer."""
        chosen = f"fastgen-k8s.github.io/job={self.job},jobset.sigs.k8s.io/job-index={trainer}"
        chosen += ",app.kubernetes.io/component=trainer"
        found = self.cluster.watch_until(
            "pods", lambda found: any(map(_runs, found.values())), self.namespace, selector=chosen
        )
        return next(name for name, one in found.items() if _runs(one))

    def agent(self, trainer: int) -> int:
        """The process of a trainer's agent, as this machine numbers it."""
        processes = self.cluster.pids_of(self.pod(trainer), self.namespace)
        return next(one.pid for one in processes if one.inner == 1)

    def worker(self, trainer: int) -> int:
        """The process of a trainer's worker: forked from the agent's server."""
        processes = self.cluster.pids_of(self.pod(trainer), self.namespace)
        return max(processes, key=lambda one: one.inner if one.runs(["forkserver"]) else 0).pid

    def counted(self, trainer: int) -> int:
        """How many failures of a trainer its Job has counted."""
        job = self.cluster.api.get("jobs.v1.batch", f"{self.job}-trainer-{trainer}", self.namespace)
        return job.get("status", {}).get("failed", 0)

    def trains(self, processes: int, after: float = 0.0, timeout: float = 180) -> float:
        """When a group of so many processes, begun after a moment, has made its first step."""
        begun = self.said.group(processes, after, timeout)
        return self.said.step(begun.at, timeout=timeout).at


def _runs(pod: pods.Object) -> bool:
    return pods.phase(pod) == "Running" and "deletionTimestamp" not in pod["metadata"]


@pytest.fixture(scope="module")
def a_step(pairs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> float:
    """Seconds that one process of this machine takes for a step."""
    run = Run(
        EXPERIMENT, (*SETTINGS, "train.steps=9"), pairs, tmp_path_factory.mktemp("pace"), micro_batch=4, save_every=0
    )
    assert run.finish().code == 0
    times = [line["time"] for line in read_metrics(store_at(str(run.output)))]
    return statistics.median(later - earlier for earlier, later in pairwise(times))


@pytest.fixture(scope="module")
def three(breakable: Cluster, place: Place, pairs: dict[str, str], a_step: float) -> Iterator[Training]:
    """Stage 2 on three pods, in the middle of it; what is missing is waited for, so that faults cost no steps."""
    yield from started(place, pairs, round(THREE / a_step), "three", TRAINERS, TRAINERS)


@pytest.fixture(scope="module")
def elastic(breakable: Cluster, place: Place, pairs: dict[str, str], a_step: float) -> Iterator[Training]:
    """Stage 2 on one or two pods, in the middle of it."""
    yield from started(place, pairs, round(ELASTIC / a_step), "elastic", 1, 2)


def started(place: Place, pairs: dict[str, str], steps: int, name: str, fewest: int, most: int) -> Iterator[Training]:
    given = ("--experiment", EXPERIMENT, "--nodes", f"{fewest}:{most}", "--micro_batch", "4", "--save_every", "5")
    habits = ("--log_every", "1", "--collective_timeout", "20", "--resource", "cpu_tiny")
    where = {"FASTGEN_PAIRS": pairs["pairs"], "FASTGEN_CONDITIONS": pairs["conditions"]}
    words = (*given, *habits, "--output", f"{place.root}/{name}", *SETTINGS, f"train.steps={steps}")
    found = Training(place, place.run("stage2", *words, cfg={"job": name}, environment=where), steps)
    try:
        found.trains(most)
        yield found
    finally:
        found.said.stop()


Fault = Callable[[Training], None]


def kill_worker(three: Training) -> None:
    os.kill(three.worker(1), signal.SIGKILL)


def kill_agent(three: Training) -> None:
    os.kill(three.agent(1), signal.SIGKILL)


def ask_agent(three: Training) -> None:
    os.kill(three.agent(2), signal.SIGTERM)


def delete(trainer: int) -> Fault:
    return lambda three: three.cluster.delete_pod(three.pod(trainer), three.namespace)


def delete_rendezvous(three: Training) -> None:
    [store] = three.place.pods(three.job, "rendezvous")
    three.cluster.delete_pod(store, three.namespace)


@pytest.mark.parametrize(
    ("what", "fault"),
    [
        ("kill -9 of a worker", kill_worker),
        ("kill -9 of a worker, 2nd time in place", kill_worker),
        ("kill -9 of a worker, 3rd time in place", kill_worker),
        ("deletion of trainer 0's pod", delete(0)),
        ("deletion of trainer 1's pod", delete(1)),
        ("deletion of trainer 2's pod", delete(2)),
        ("deletion of the rendezvous pod", delete_rendezvous),
        ("kill -9 of an agent (2nd loss of trainer 1)", kill_agent),
        ("exit 75 (2nd loss of trainer 2)", ask_agent),
        ("deletion of trainer 0's pod, 2nd loss", delete(0)),
        ("deletion of trainer 0's pod, 3rd loss", delete(0)),
    ],
)
def test_all_train_again_after(
    what: str, fault: Fault, three: Training, record_property: Callable[[str, object], None]
) -> None:
    three.said.step(time.monotonic())  # in the middle of it
    at = time.monotonic()
    fault(three)
    begun = three.said.group(TRAINERS, at, timeout=180)
    stepped = three.said.step(begun.at)
    record_property(what, f"{begun.at - at:.1f} s to the group, {stepped.at - at:.1f} s to the next step")
    print(f"{what}: {begun.at - at:.1f} s to the group, {stepped.at - at:.1f} s to the next step")


def test_deletions_and_exit_75_are_not_counted_and_a_killed_agent_is(three: Training) -> None:
    assert [three.counted(trainer) for trainer in range(TRAINERS)] == [0, 1, 0]


def test_what_lost_its_pods_completes_with_the_losses_of_an_undisturbed_run(
    three: Training, pairs: dict[str, str], tmp_path: Path
) -> None:
    assert completed(three)
    assert largest_difference(undisturbed(three, pairs, tmp_path / "run"), losses(three)) < 1e-6


def test_a_lost_node_is_left_at_once_and_its_pods_are_made_again_elsewhere(elastic: Training) -> None:
    cluster = elastic.cluster
    lost = cluster.api.get("pods", elastic.pod(0), elastic.namespace)["spec"]["nodeName"]
    at = time.monotonic()
    cluster.power_off(lost)
    try:
        begun = elastic.said.group(2, at, timeout=240)
        stepped = elastic.said.step(begun.at)
        print(f"node {lost} lost: {begun.at - at:.1f} s to the group, {stepped.at - at:.1f} s to the next step")
    finally:
        cluster.power_on(lost)


def test_with_the_nodes_cordoned_it_goes_on_smaller_and_grows_again(elastic: Training) -> None:
    cluster, at = elastic.cluster, time.monotonic()
    for node in cluster.machines:
        cluster.cordon(node)
    try:
        cluster.delete_pod(elastic.pod(1), elastic.namespace)
        smaller = elastic.trains(1, at)
    finally:
        for node in cluster.machines:
            cluster.uncordon(node)
    grown = elastic.trains(2, smaller, timeout=240)
    print(f"smaller after {smaller - at:.1f} s, grown again {grown - smaller:.1f} s later")


def test_what_shrank_and_grew_completes_with_the_losses_of_an_undisturbed_run(
    elastic: Training, pairs: dict[str, str], tmp_path: Path
) -> None:
    assert completed(elastic)
    assert largest_difference(undisturbed(elastic, pairs, tmp_path / "run"), losses(elastic)) < 1e-6


def undisturbed(training: Training, pairs: dict[str, str], output: Path) -> list[dict[str, float]]:
    """The losses of the same training on this machine, where nothing is lost."""
    run = Run(EXPERIMENT, (*SETTINGS, f"train.steps={training.steps}"), pairs, output, processes=2, save_every=0)
    assert run.finish().code == 0
    return run.losses()


def completed(training: Training) -> bool:
    return holds(training.place.ended(training.job, timeout=600), "Completed")


def losses(training: Training) -> list[dict[str, float]]:
    """Every step's losses, each step once."""
    lines = read_metrics(store_at(f"{training.place.root}/{training.job}"))
    assert [line["step"] for line in lines] == list(range(1, training.steps + 1))
    return [{name: value for name, value in line.items() if name != "time"} for line in lines]
