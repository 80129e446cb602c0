"""A training on three pods that loses one thing after the other, and still ends with the losses of an undisturbed run.

One job goes through all faults, in the order of this file; each test waits until all train again, and notes how long it
took (`pytest -rP`, or the junit report). Nothing is asserted of a time.
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
from fastgen_k8s.training.metrics import read_metrics
from tests.cluster import pods
from tests.cluster.conditions import holds
from tests.cluster.launched import Listener, Place
from tests.processes.runs import Run, largest_difference

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

TRAINERS = 3
SETTINGS = ("train.global_batch=96", "train.ema={decay: 0.9, start: 0}")
ALONE = 240.0  # seconds that one process would need: enough for all faults, whatever the machine
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


def pace(pairs: dict[str, str], output: Path) -> float:
    """Seconds that one process of this machine takes for a step."""
    run = Run(EXPERIMENT, (*SETTINGS, "train.steps=9"), pairs, output, micro_batch=4, save_every=0)
    assert run.finish().code == 0
    times = [line["time"] for line in read_metrics(store_at(str(output)))]
    return statistics.median(later - earlier for earlier, later in pairwise(times))


@pytest.fixture(scope="module")
def story(place: Place, pairs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Training]:
    """Stage 2 on three pods, in the middle of it."""
    steps = round(ALONE / pace(pairs, tmp_path_factory.mktemp("pace") / "run"))
    given = ("--experiment", EXPERIMENT, "--nodes", f"1:{TRAINERS}", "--micro_batch", "4", "--save_every", "5")
    habits = ("--log_every", "1", "--collective_timeout", "20", "--resource", "cpu_tiny")
    where = {"FASTGEN_PAIRS": pairs["pairs"], "FASTGEN_CONDITIONS": pairs["conditions"]}
    job = place.run("stage2", *given, *habits, *SETTINGS, f"train.steps={steps}", environment=where)
    found = Training(place, job, steps)
    found.trains(TRAINERS)
    yield found
    found.said.stop()


Fault = Callable[[Training], None]


def kill_worker(story: Training) -> None:
    os.kill(story.worker(1), signal.SIGKILL)


def kill_agent(story: Training) -> None:
    os.kill(story.agent(1), signal.SIGKILL)


def ask_agent(story: Training) -> None:
    os.kill(story.agent(2), signal.SIGTERM)


def delete(trainer: int) -> Fault:
    return lambda story: story.cluster.delete_pod(story.pod(trainer), story.namespace)


def delete_rendezvous(story: Training) -> None:
    [store] = story.place.pods(story.job, "rendezvous")
    story.cluster.delete_pod(store, story.namespace)


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
    what: str, fault: Fault, story: Training, record_property: Callable[[str, object], None]
) -> None:
    story.said.step(time.monotonic())  # in the middle of it
    at = time.monotonic()
    fault(story)
    begun = story.said.group(TRAINERS, at, timeout=180)
    stepped = story.said.step(begun.at)
    record_property(what, f"{begun.at - at:.1f} s to the group, {stepped.at - at:.1f} s to the next step")
    print(f"{what}: {begun.at - at:.1f} s to the group, {stepped.at - at:.1f} s to the next step")


def test_deletions_and_exit_75_are_not_counted_and_a_killed_agent_is(story: Training) -> None:
    assert [story.counted(trainer) for trainer in range(TRAINERS)] == [0, 1, 0]


def test_a_lost_node_is_left_and_used_again_when_it_is_back(story: Training) -> None:
    cluster = story.cluster
    lost = cluster.api.get("pods", story.pod(0), story.namespace)["spec"]["nodeName"]
    at = time.monotonic()
    cluster.power_off(lost)
    try:
        begun = story.said.wait(lambda line: "training" in line.text and "processes=" in line.text, at, 240)
        stepped = story.said.step(begun.at)
        print(f"node {lost} lost: {begun.at - at:.1f} s to the group, {stepped.at - at:.1f} s to the next step")
    finally:
        cluster.power_on(lost)
    story.trains(TRAINERS, at, timeout=240)


def test_with_the_nodes_cordoned_it_goes_on_smaller_and_grows_again(story: Training) -> None:
    cluster, at = story.cluster, time.monotonic()
    for node in cluster.machines:
        cluster.cordon(node)
    try:
        cluster.delete_pod(story.pod(2), story.namespace)
        smaller = story.trains(TRAINERS - 1, at)
    finally:
        for node in cluster.machines:
            cluster.uncordon(node)
    grown = story.trains(TRAINERS, smaller, timeout=240)
    print(f"smaller after {smaller - at:.1f} s, grown again {grown - smaller:.1f} s later")


def test_the_job_completes_with_the_losses_of_an_undisturbed_run(
    story: Training, pairs: dict[str, str], tmp_path: Path
) -> None:
    assert holds(story.place.ended(story.job, timeout=600), "Completed")
    settings = (*SETTINGS, f"train.steps={story.steps}")
    undisturbed = Run(EXPERIMENT, settings, pairs, tmp_path / "alone", processes=2, save_every=0)
    assert undisturbed.finish().code == 0
    lines = read_metrics(store_at(f"{story.place.root}/stage2"))
    losses = [{name: value for name, value in line.items() if name != "time"} for line in lines]
    assert [line["step"] for line in losses] == list(range(1, story.steps + 1))
    assert largest_difference(undisturbed.losses(), losses) < 1e-5
