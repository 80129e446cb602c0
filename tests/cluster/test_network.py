"""Pods find each other, and object storage, by name; across nodes too."""

from collections.abc import Iterator

import pytest

from tests.cluster import jobsets
from tests.cluster.cluster import Cluster
from tests.cluster.jobsets import pod, python, single
from tests.cluster.storage import NAME, Storage

pytestmark = pytest.mark.cluster

MEETING = """
import os, socket, time
me, name = int(os.environ["HOSTNAME"].split("-trainer-")[1][0]), os.environ["HOSTNAME"].split("-trainer-")[0]
server = socket.create_server(("", 29500))
peer = f"{name}-trainer-{1 - me}-0.{name}"
while True:
    try:
        socket.create_connection((peer, 29500), timeout=5).close()
        break
    except OSError:
        time.sleep(0.2)
server.accept()
"""
ASKING = """
import os, urllib.error, urllib.request
try:
    urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"])
except urllib.error.HTTPError as refusal:
    print(refusal.code, refusal.headers["Server"])
"""


@pytest.fixture
def namespace(two_nodes: Cluster) -> Iterator[str]:
    with two_nodes.namespace("network") as made:
        yield made


def test_trainers_on_two_nodes_meet_by_the_names_of_the_headless_service(two_nodes: Cluster, namespace: str) -> None:
    made = jobsets.jobset("pair", namespace, trainers=2, command=python(MEETING))
    two_nodes.api.create(jobsets.spread(made))
    two_nodes.wait_for(jobsets.RESOURCE, "pair", jobsets.completed, namespace)


def test_a_pod_reaches_object_storage_by_the_services_name(
    two_nodes: Cluster, storage: Storage, namespace: str
) -> None:
    storage.offer(two_nodes.api, namespace)
    spec = pod(python(ASKING))
    spec["containers"][0]["envFrom"] = [{"secretRef": {"name": NAME}}]
    two_nodes.api.create(single("asking", namespace, spec))
    two_nodes.wait_for_line("asking", "403 SeaweedFS", namespace)
