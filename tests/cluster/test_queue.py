"""A training that waits in a queue of Kueue's, is preempted by a higher priority, and goes on from its checkpoint."""

import re
from collections.abc import Iterator

import pytest

from tests.cluster import jobsets, queues
from tests.cluster.cluster import Cluster
from tests.cluster.conditions import holds
from tests.cluster.launched import Listener, Place

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

TRAIN = ("--experiment", "closed_form/gaussian_kd", "--resource", "cpu_tiny", "--log_every", "1")


@pytest.fixture
def queue(kueue: Cluster, place: Place) -> Iterator[str]:
    """A queue with room for one trainer."""
    for one in queues.with_room_for_one(place.namespace, {"cpu": "1", "memory": "3Gi", "ephemeral-storage": "1Gi"}):
        kueue.api.apply(one)
    yield "queue"
    for name in kueue.api.list(jobsets.RESOURCE, place.namespace):
        kueue.api.delete(jobsets.RESOURCE, name, place.namespace)


def test_a_preempted_training_goes_on_from_its_checkpoint(place: Place, pairs: dict[str, str], queue: str) -> None:
    given = {"FASTGEN_PAIRS": pairs["pairs"], "FASTGEN_CONDITIONS": pairs["conditions"]}
    low = place.run(
        "stage2", *TRAIN, "--output", f"{place.root}/low", "train.steps=1000", "train.global_batch=64",
        cfg={"queue": queue, "queue_priority": "low", "job": "low"}, environment=given,
    )  # fmt: skip
    said = Listener(place, low)
    said.step(beyond=2)
    high = place.run(
        "stage2", *TRAIN, "--output", f"{place.root}/high", "train.steps=4",
        cfg={"queue": queue, "queue_priority": "high", "job": "high"}, environment=given,
    )  # fmt: skip
    place.cluster.wait_for(jobsets.RESOURCE, low, jobsets.suspended, place.namespace)
    stopped = said.wait(lambda line: "stopped: asked to stop: the checkpoint of step" in line.text)
    assert holds(place.ended(high), "Completed")
    again = said.wait(lambda line: "after=" in line.text, stopped.at, timeout=180)
    saved, after = re.search(r"of step (\d+)", stopped.text), re.search(r"after=(\d+)", again.text)
    assert saved is not None
    assert after is not None
    assert saved[1] == after[1]
    said.stop()
