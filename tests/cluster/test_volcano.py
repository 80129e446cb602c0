"""Level C: our jobs of Volcano under a stand-in for its controller, on a real API server and kubelet.

Volcano's own program did not run here. What these tests hold is that our policies, names and service do what we think
when Volcano does what it was seen to do; its gang, queues and preemption are not tested at all.
"""

# pyright: reportMissingTypeStubs=false

import json
from collections.abc import Iterator
from typing import Any

import pytest
from torchx.schedulers.api import DescribeAppResponse
from torchx.specs import AppState

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.launch.scheduler import ClusterScheduler
from fastgen_k8s.launch.volcano_scheduler import create_scheduler
from fastgen_k8s.pipeline.kinds import Kind
from tests.cluster import pods as of_pods
from tests.cluster import volcano_standin
from tests.cluster.api import Object, State
from tests.cluster.cluster import Cluster
from tests.cluster.images import BASE_IMAGE
from tests.cluster.jobsets import python
from tests.cluster.volcano_rules import JOBS, phase
from tests.launch.rendered import rendered, work

pytestmark = pytest.mark.cluster

MEETS = """
import socket
server = socket.create_server(("", 29400))
print("open", flush=True)
while True:
    caller, _ = server.accept()
    if caller.recv(9) == b"published":
        break
"""
"""A rendezvous that ends as soon as a trainer tells it that the work is published."""

PUBLISHES = """
import os, socket, time
host, port = os.environ["PET_RDZV_ENDPOINT"].split(":")
while True:
    try:
        socket.create_connection((host, int(port)), 2).sendall(b"published")
        break
    except OSError:
        time.sleep(0.2)
"""
TOLD = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
print("up", flush=True)
signal.sigwaitinfo([signal.SIGUSR1])
"""
"""A program that goes on when it is told to."""

WAITS = "import signal; print('up', flush=True); signal.pause()"
STOPS = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\n"
"""Put before each program: like an agent, it ends with 75 when it is asked to."""

_ONE_OF_THREE = ["Pending", "Pending", "Running"]


@pytest.fixture(scope="module")
def volcano(node: Cluster) -> Iterator[Cluster]:
    """A cluster with the stand-in."""
    volcano_standin.install(node.api)
    with volcano_standin.running(node.api):
        yield node


@pytest.fixture
def namespace(volcano: Cluster) -> Iterator[str]:
    """A namespace of the test's own, which enforces `restricted`."""
    with volcano.namespace("volcano") as made:
        yield made


@pytest.fixture
def scheduler(volcano: Cluster, monkeypatch: pytest.MonkeyPatch) -> ClusterScheduler:
    """What `torchx ... -s kubernetes` talks to the cluster with."""
    monkeypatch.setenv("KUBECONFIG", str(volcano.kubeconfig))
    return create_scheduler("torchx")


def job(namespace: str, trainer: str, *, kind: Kind = "train", meets: str = MEETS, **cluster: Any) -> Object:
    """A job as we render it, whose pods run small programs in place of ours."""
    nodes, cpu = cluster.pop("nodes", "2"), cluster.pop("cpu", "50m")
    offered = {"namespace": namespace, "job": "kd", "service_account": "default", **cluster}
    found = rendered("volcano", work(kind), cluster=offered, nodes=nodes)
    for task in found["spec"]["tasks"]:
        [container] = task["template"]["spec"]["containers"]
        mine = task["name"] == "trainer"
        container["image"], container["command"] = BASE_IMAGE, python(STOPS + (trainer if mine else meets))
        container["resources"] = {"requests": {"cpu": cpu if mine else "50m", "memory": "32Mi"}}
    return found


def until(cluster: Cluster, namespace: str, *phases: str) -> Object:
    """The job when it has come to one of these phases."""
    return cluster.wait_for(JOBS, "kd", lambda found: phase(found) in phases, namespace, timeout=90)


def up(cluster: Cluster, namespace: str) -> State:
    """The pods when both trainers have said so, with the job running."""
    for name in ("kd-trainer-0", "kd-trainer-1"):
        cluster.wait_for_line(name, "up", namespace)
    until(cluster, namespace, "Running")
    return cluster.api.list("pods", namespace)


def replaced(cluster: Cluster, namespace: str, pod: Object) -> Object:
    """The pod that runs under the same name after this one."""
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]

    def another(seen: Object) -> bool:
        return seen["metadata"]["uid"] != uid and of_pods.phase(seen) == "Running"

    return cluster.wait_for("pods", name, another, namespace)


def tell(cluster: Cluster, namespace: str, pod: str) -> None:
    """Let a TOLD program go on."""
    cluster.wait_for_line(pod, "up", namespace)
    cluster.execute(pod, namespace, *python("import os, signal; os.kill(1, signal.SIGUSR1)"))


def described(scheduler: ClusterScheduler, namespace: str) -> DescribeAppResponse:
    found = scheduler.describe(f"{namespace}:kd")
    assert found is not None
    return found


def uids(pods: State, *but: str) -> set[str]:
    return {pod["metadata"]["uid"] for name, pod in pods.items() if name not in but}


def test_a_job_is_complete_when_its_rendezvous_has_seen_the_work_published(
    volcano: Cluster, namespace: str, scheduler: ClusterScheduler
) -> None:
    scheduler.jobs.submit(job(namespace, PUBLISHES))
    until(volcano, namespace, "Completed")
    assert described(scheduler, namespace).state == AppState.SUCCEEDED


def test_pairs_end_with_their_last_block_though_a_pod_never_found_a_place(volcano: Cluster, namespace: str) -> None:
    volcano.api.create(job(namespace, WAITS, kind="pairs", nodes="1:3", cpu="1100m", meets=TOLD))

    def one_works(found: State) -> bool:
        return sorted(of_pods.phase(pod) for name, pod in found.items() if "trainer" in name) == _ONE_OF_THREE

    volcano.watch_until("pods", one_works, namespace)
    until(volcano, namespace, "Running")
    tell(volcano, namespace, "kd-rendezvous-0")
    until(volcano, namespace, "Completed")


def test_a_single_pod_ends_its_job_by_its_success(volcano: Cluster, namespace: str) -> None:
    volcano.api.create(job(namespace, "print('done')", kind="bridge", nodes="1"))
    until(volcano, namespace, "Completed")


@pytest.mark.parametrize("code", [64, 65, 70, 71])
def test_an_exit_code_that_would_come_again_ends_the_job_without_a_second_pod(
    volcano: Cluster, namespace: str, scheduler: ClusterScheduler, code: int
) -> None:
    program = f"import os, sys; sys.exit({code}) if os.environ['HOSTNAME'].endswith('-1') else exec({WAITS!r})"
    volcano.api.create(job(namespace, program))
    ended = until(volcano, namespace, "Terminated")
    found = described(scheduler, namespace)
    assert (found.state, json.loads(found.structured_error_msg)) == (AppState.FAILED, {"exit_code": code})
    assert ended["status"]["retryCount"] == 0


def test_a_killed_agent_is_replaced_and_counted_while_its_peers_stay(volcano: Cluster, namespace: str) -> None:
    volcano.api.create(job(namespace, WAITS))
    before = up(volcano, namespace)
    volcano.kill_agent("kd-trainer-1", namespace)
    replaced(volcano, namespace, before["kd-trainer-1"])
    assert until(volcano, namespace, "Running")["status"]["retryCount"] == 1
    assert uids(before, "kd-trainer-1") < uids(volcano.api.list("pods", namespace))


@pytest.mark.parametrize("role", ["trainer", "rendezvous"])
@pytest.mark.parametrize(("force", "counted"), [(False, 1), (True, 0)], ids=["with its grace", "by force"])
def test_a_deleted_pod_is_replaced_and_counted_if_it_could_say_how_it_ended(
    volcano: Cluster, namespace: str, role: str, force: bool, counted: int
) -> None:
    volcano.api.create(job(namespace, WAITS))
    before = up(volcano, namespace)
    volcano.delete_pod(f"kd-{role}-0", namespace, force=force)
    replaced(volcano, namespace, before[f"kd-{role}-0"])
    assert until(volcano, namespace, "Running")["status"]["retryCount"] == counted
    assert uids(before, f"kd-{role}-0") < uids(volcano.api.list("pods", namespace))


def test_a_job_outlives_more_evictions_than_crashes(volcano: Cluster, namespace: str) -> None:
    volcano.api.create(job(namespace, WAITS, kind="bridge", nodes="1"))
    for evictions in range(1, 5):
        volcano.wait_for_line("kd-trainer-0", "up", namespace)
        until(volcano, namespace, "Running")
        pod = volcano.api.get("pods", "kd-trainer-0", namespace)
        volcano.delete_pod("kd-trainer-0", namespace)
        replaced(volcano, namespace, pod)
        ended = until(volcano, namespace, "Running", "Failed")
        assert (phase(ended), ended["status"]["retryCount"]) == ("Running", evictions)


def test_trainers_find_a_rendezvous_that_came_back(volcano: Cluster, namespace: str) -> None:
    volcano.api.create(job(namespace, TOLD + PUBLISHES))
    before = up(volcano, namespace)
    volcano.kill_agent("kd-rendezvous-0", namespace)
    replaced(volcano, namespace, before["kd-rendezvous-0"])
    tell(volcano, namespace, "kd-trainer-0")
    until(volcano, namespace, "Completed")


def test_a_pod_that_always_crashes_ends_the_job_when_the_crashes_are_used_up(
    volcano: Cluster, namespace: str, scheduler: ClusterScheduler
) -> None:
    program = "import sys, time; time.sleep(2); sys.exit(1)"
    made = job(namespace, program, kind="bridge", nodes="1")
    made["spec"]["maxRetry"] = 2  # ours would take hours
    volcano.api.create(made)
    ended = until(volcano, namespace, "Failed", "Terminated", "Completed")
    assert (phase(ended), ended["status"]["retryCount"]) == ("Failed", 2)
    assert described(scheduler, namespace).msg == "Failed (pods replaced after a failure: 2)"


def test_a_cancelled_job_stays_and_its_pods_go(volcano: Cluster, namespace: str, scheduler: ClusterScheduler) -> None:
    volcano.api.create(job(namespace, WAITS))
    up(volcano, namespace)
    scheduler.cancel(f"{namespace}:kd")
    until(volcano, namespace, "Aborted")
    assert described(scheduler, namespace).state == AppState.CANCELLED


def test_a_job_takes_the_place_of_an_ended_one_and_not_of_one_that_runs(
    volcano: Cluster, namespace: str, scheduler: ClusterScheduler
) -> None:
    made = job(namespace, "print('done')", kind="bridge", nodes="1")
    scheduler.jobs.submit(made)
    first = until(volcano, namespace, "Completed")["metadata"]["uid"]
    scheduler.jobs.submit(job(namespace, WAITS, kind="bridge", nodes="1"))
    assert until(volcano, namespace, "Running")["metadata"]["uid"] != first
    with pytest.raises(Misdescribed, match="wanted no job of this name or an ended one"):
        scheduler.jobs.submit(made)


def test_a_job_is_listed_its_lines_are_read_and_it_goes_after_its_time(
    volcano: Cluster, namespace: str, scheduler: ClusterScheduler
) -> None:
    volcano.api.create(job(namespace, "print('learnt')", kind="bridge", nodes="1", ttl=5))
    until(volcano, namespace, "Completed")
    assert [one.app_id for one in scheduler.list({"namespace": namespace})] == [f"{namespace}:kd"]
    assert list(scheduler.log_iter(f"{namespace}:kd", "trainer", 0)) == ["learnt\n"]
    volcano.wait_gone(JOBS, "kd", namespace)
    assert scheduler.describe(f"{namespace}:kd") is None


def test_a_deleted_job_takes_its_pods_with_it(volcano: Cluster, namespace: str, scheduler: ClusterScheduler) -> None:
    volcano.api.create(job(namespace, WAITS))
    up(volcano, namespace)
    scheduler.delete(f"{namespace}:kd")
    volcano.watch_until("pods", lambda found: not found, namespace)
