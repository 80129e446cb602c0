"""Kueue: a queue of one place admits, makes wait, and takes the place away for a higher priority."""

from collections.abc import Iterator

import pytest

from tests.cluster import jobsets, queues
from tests.cluster.cluster import Cluster
from tests.cluster.jobsets import python

pytestmark = pytest.mark.cluster

LONG = python("import signal; signal.pause()")


@pytest.fixture
def namespace(kueue: Cluster) -> Iterator[str]:
    """A namespace with a queue that has room for one small JobSet."""
    with kueue.namespace("queue") as made:
        for one in queues.with_room_for_one(made):
            kueue.api.apply(one)
        yield made
        for name in kueue.api.list(jobsets.RESOURCE, made):
            kueue.api.delete(jobsets.RESOURCE, name, made)


def test_a_second_jobset_waits_until_the_first_is_gone(kueue: Cluster, namespace: str) -> None:
    kueue.api.create(queues.queued("first", namespace, LONG))
    kueue.wait_for(jobsets.RESOURCE, "first", jobsets.admitted, namespace)
    kueue.api.create(queues.queued("second", namespace, LONG))
    kueue.watch_until(queues.WORKLOADS, queues.waiting("second"), namespace)
    kueue.api.delete(jobsets.RESOURCE, "first", namespace)
    kueue.wait_for(jobsets.RESOURCE, "second", jobsets.admitted, namespace)


def test_a_higher_priority_takes_the_place_of_a_lower_one(kueue: Cluster, namespace: str) -> None:
    kueue.api.create(queues.queued("low", namespace, LONG, priority="low"))
    kueue.wait_for(jobsets.RESOURCE, "low", jobsets.admitted, namespace)
    kueue.api.create(queues.queued("high", namespace, LONG, priority="high"))
    kueue.wait_for(jobsets.RESOURCE, "high", jobsets.admitted, namespace)
    kueue.wait_for(jobsets.RESOURCE, "low", jobsets.suspended, namespace)


def test_a_preempted_jobset_is_admitted_again(kueue: Cluster, namespace: str) -> None:
    kueue.api.create(queues.queued("low", namespace, LONG, priority="low"))
    kueue.wait_for(jobsets.RESOURCE, "low", jobsets.admitted, namespace)
    kueue.api.create(queues.queued("high", namespace, LONG, priority="high"))
    kueue.wait_for(jobsets.RESOURCE, "low", jobsets.suspended, namespace)
    kueue.api.delete(jobsets.RESOURCE, "high", namespace)
    kueue.wait_for(jobsets.RESOURCE, "low", jobsets.admitted, namespace)
