"""Level B: what `torchx status` says of a real JobSet whose pods end as the test plays the kubelet."""

# pyright: reportMissingTypeStubs=false

import os
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest
from torchx.specs import AppState

from fastgen_k8s.launch.jobset_scheduler import create_scheduler
from tests.cluster import jobsets
from tests.cluster.api import Object, path_of
from tests.cluster.cluster import Cluster
from tests.cluster.conditions import holds
from tests.cluster.local import Local
from tests.launch.rendered import rendered

pytestmark = pytest.mark.cluster

JOBS = "jobs.v1.batch"


@pytest.fixture
def namespace(control_plane: Cluster) -> Iterator[str]:
    """A namespace of the test's own."""
    with control_plane.namespace("status") as made:
        yield made


@contextmanager
def paused(machine: Local, name: str) -> Generator[None]:
    """A program that does nothing for a while, and then is told of what has happened, one event after another."""
    pid = machine.daemons[name].process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def ends(cluster: Cluster, namespace: str, trainer: int, code: int) -> None:
    """Have a trainer's pod end with a code, and wait until its Job says so."""
    chosen = f"jobset.sigs.k8s.io/job-index={trainer},app.kubernetes.io/component=trainer"
    [name] = cluster.watch_until("pods", lambda found: len(found) == 1, namespace, selector=chosen)
    ended: Object = {"exitCode": code, "reason": "Ended"}
    status = {
        "phase": "Failed" if code else "Succeeded",
        "containerStatuses": [
            {
                "name": "trainer",
                "image": "i",
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"terminated": ended},
            }
        ],
    }
    where = f"{path_of('pods', namespace, name)}/status"
    cluster.api.call("PATCH", where, {"status": status}, kind="application/merge-patch+json")
    wanted = "Failed" if code else "Complete"
    cluster.wait_for(JOBS, f"kd-trainer-{trainer}", lambda found: holds(found, wanted), namespace)


# JobSet looks after any event: told of a success first, it may look before it is told of the failure, and is then done.
@pytest.mark.parametrize(
    ("first", "ends_as"),
    [(0, {"Completed", "Failed"}), (70, {"Failed"})],
    ids=["success first", "failure first"],
)
def test_a_trainer_that_fails_beside_one_that_succeeds_may_fail_the_jobset_and_not_its_work(
    machine: Local,
    control_plane: Cluster,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    first: int,
    ends_as: set[str],
) -> None:
    control_plane.api.create(
        rendered("jobset", cluster={"namespace": namespace, "job": "kd", "service_account": "default"}, nodes="2")
    )
    control_plane.wait_for(jobsets.RESOURCE, "kd", jobsets.admitted, namespace)
    control_plane.watch_until(JOBS, lambda found: len(found) == 3, namespace)
    with paused(machine, "jobset"):
        ends(control_plane, namespace, 0, first)
        ends(control_plane, namespace, 1, 70 - first)
    control_plane.wait_for(
        jobsets.RESOURCE, "kd", lambda found: any(holds(found, ended) for ended in ends_as), namespace
    )
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    found = create_scheduler("torchx").describe(f"{namespace}:kd")
    assert found is not None
    assert (found.state, found.structured_error_msg) == (AppState.SUCCEEDED, "{}")
