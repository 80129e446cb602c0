"""The faults that tests may cause do what they say, on real pods."""

from collections.abc import Callable, Iterator

import pytest

from tests.cluster import jobsets, pods
from tests.cluster.api import Object, State
from tests.cluster.cluster import Cluster
from tests.cluster.jobsets import pod, python, single

pytestmark = pytest.mark.cluster

WAITING = "import signal; print('up'); signal.pause()"
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()  # worker"])
print("up")
print("the worker ended with", child.wait())
"""
ASKED = """
import signal, sys
def leave(number, frame):
    print("asked to leave")
    sys.exit(75)
signal.signal(signal.SIGTERM, leave)
print("up")
signal.pause()
"""


@pytest.fixture
def namespace(two_nodes: Cluster) -> Iterator[str]:
    with two_nodes.namespace("faults") as made:
        yield made


def over(cluster: Cluster, name: str, namespace: str) -> Object:
    return cluster.wait_for("pods", name, lambda one: pods.phase(one) in pods.OVER, namespace)


def test_a_killed_agent_is_seen_as_exit_137(two_nodes: Cluster, namespace: str) -> None:
    two_nodes.api.create(single("agent", namespace, pod(python(WAITING))))
    two_nodes.wait_for_line("agent", "up", namespace)
    two_nodes.kill_agent("agent", namespace)
    assert pods.exit_codes(over(two_nodes, "agent", namespace)) == (137,)


def test_a_killed_worker_leaves_its_agent_alive(two_nodes: Cluster, namespace: str) -> None:
    two_nodes.api.create(single("agent", namespace, pod(python(PARENT))))
    two_nodes.wait_for_line("agent", "up", namespace)
    two_nodes.kill_worker("agent", namespace, "signal.pause()", "# worker")
    two_nodes.wait_for_line("agent", "the worker ended with -9", namespace)
    assert pods.exit_codes(over(two_nodes, "agent", namespace)) == (0,)


def test_a_deleted_pod_is_asked_to_leave(two_nodes: Cluster, namespace: str) -> None:
    two_nodes.api.create(single("polite", namespace, pod(python(ASKED), grace=20)))
    two_nodes.wait_for_line("polite", "up", namespace)
    two_nodes.delete_pod("polite", namespace)
    two_nodes.wait_for_line("polite", "asked to leave", namespace)
    two_nodes.wait_gone("pods", "polite", namespace, timeout=15)


def test_a_pod_deleted_by_force_is_forgotten_at_once(two_nodes: Cluster, namespace: str) -> None:
    two_nodes.api.create(single("stubborn", namespace, pod(python(WAITING), grace=60)))
    two_nodes.wait_for_line("stubborn", "up", namespace)
    two_nodes.delete_pod("stubborn", namespace, force=True)
    two_nodes.wait_gone("pods", "stubborn", namespace, timeout=5)


def test_a_cordoned_node_gets_no_new_pod(two_nodes: Cluster, namespace: str) -> None:
    two_nodes.cordon("node2")
    try:
        for index in range(4):
            two_nodes.api.create(single(f"new{index}", namespace, pod(["true"])))
        found = two_nodes.watch_until("pods", placed(4), namespace)
    finally:
        two_nodes.uncordon("node2")
    assert {one["spec"]["nodeName"] for one in found.values()} == {"node1"}


def test_the_pods_of_a_lost_node_are_made_again_elsewhere(two_nodes: Cluster, namespace: str) -> None:
    made = jobsets.jobset("moving", namespace, trainers=1, command=python(WAITING))
    two_nodes.api.create(jobsets.placed(made, {}, jobsets.GIVES_UP_SOON))
    (first,) = two_nodes.watch_until("pods", running, namespace, selector=jobsets.TRAINERS).values()
    lost = first["spec"]["nodeName"]
    two_nodes.power_off(lost)
    try:
        found = two_nodes.watch_until("pods", elsewhere(lost), namespace, selector=jobsets.TRAINERS)
    finally:
        two_nodes.power_on(lost)
    assert first["metadata"]["name"] not in [name for name, one in found.items() if pods.is_ready(one)]


def test_a_node_that_came_back_runs_pods_again(two_nodes: Cluster, namespace: str) -> None:
    two_nodes.power_off("node2")
    two_nodes.power_on("node2")
    spec = pod(python("print('here')")) | {"nodeName": "node2"}
    two_nodes.api.create(single("returned", namespace, spec))
    assert pods.exit_codes(over(two_nodes, "returned", namespace)) == (0,)


def running(found: State) -> bool:
    return len(found) > 0 and all(pods.is_ready(one) for one in found.values())


def elsewhere(lost: str) -> Callable[[State], bool]:
    """Whether a pod runs on another node than this one."""
    return lambda found: any(pods.is_ready(one) and one["spec"]["nodeName"] != lost for one in found.values())


def placed(count: int) -> Callable[[State], bool]:
    """Whether each of so many pods has been given a node."""
    return lambda found: sum("nodeName" in one["spec"] for one in found.values()) == count
