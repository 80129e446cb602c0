"""Level C: pods on a real kubelet, in a namespace that enforces `restricted`."""

from collections.abc import Iterator

import pytest

from tests.cluster import jobsets, pods
from tests.cluster.api import Refused
from tests.cluster.cluster import Cluster
from tests.cluster.jobsets import pod, python, single

pytestmark = pytest.mark.cluster


@pytest.fixture
def namespace(node: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own."""
    with node.namespace(request.function.__name__.removeprefix("test_").replace("_", "-")[:50]) as made:
        yield made


def finished(cluster: Cluster, name: str, namespace: str) -> int:
    """Wait for a pod's end; its exit code."""
    seen = cluster.wait_for("pods", name, lambda one: pods.phase(one) in pods.OVER, namespace)
    return pods.exit_codes(seen)[0]


def test_a_jobset_of_one_and_two_pods_completes(node: Cluster, namespace: str) -> None:
    node.api.create(jobsets.jobset("pair", namespace, trainers=2, command=python("print('step 1')")))
    node.wait_for(jobsets.RESOURCE, "pair", jobsets.completed, namespace)


def test_a_pod_that_restricted_forbids_is_refused(node: Cluster, namespace: str) -> None:
    spec = pod(["true"])
    del spec["securityContext"]["runAsNonRoot"]
    with pytest.raises(Refused, match="runAsNonRoot"):
        node.api.create(single("root", namespace, spec))


def test_a_container_runs_without_privileges(node: Cluster, namespace: str) -> None:
    program = "print(open('/proc/self/status').read())"
    node.api.create(single("bare", namespace, pod(python(program))))
    finished(node, "bare", namespace)
    said = dict(line.split(":\t") for line in node.logs("bare", namespace).splitlines() if ":\t" in line)
    assert (said["CapBnd"], said["NoNewPrivs"], said["Seccomp"]) == ("0000000000000000", "1", "2")


@pytest.mark.parametrize(
    ("name", "answer"), [("kubernetes.default.svc.cluster.local", "10.96.0.1"), ("no.such.name", "")]
)
def test_a_pod_asks_the_clusters_dns(node: Cluster, namespace: str, name: str, answer: str) -> None:
    program = f"""
import socket
try:
    print(socket.gethostbyname({name!r}))
except socket.gaierror:
    print()
"""
    node.api.create(single("asking", namespace, pod(python(program))))
    finished(node, "asking", namespace)
    assert node.logs("asking", namespace).strip() == answer


def test_a_command_runs_in_a_pod(node: Cluster, namespace: str) -> None:
    node.api.create(single("waiting", namespace, pod(python("import signal; print('up'); signal.pause()"))))
    node.wait_for_line("waiting", "up", namespace)
    assert node.execute("waiting", namespace, "id", "-u").strip() == "10001"
