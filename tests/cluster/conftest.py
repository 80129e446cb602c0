"""The cluster's levels as fixtures of the session, each started from the one below it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from fastgen_k8s.artifacts import store_at
from tests import s3_server
from tests.cluster import kwok, local
from tests.cluster.api import Api
from tests.cluster.cluster import Cluster
from tests.cluster.custom import establish, establish_third_parties
from tests.cluster.launched import Place
from tests.cluster.local import Local
from tests.cluster.proxy import Proxy, proxy
from tests.cluster.requirements import Level, missing, require
from tests.cluster.storage import Storage, from_environment

_HERE = Path(__file__).parent
_CRD = Path("manifests/base/crd.yaml")
_NAMED = os.environ.get("KUBECONFIG")
_WITH_KUBELETS = {"node", "two_nodes", "training", "cluster", "storage"}
_SECOND = {
    "test_exit_codes",
    "test_late_kinds",
    "test_pairs",
    "test_pipelines",
    "test_queue",
    "test_scale",
    "test_stages",
    "test_store",
    "test_volcano",
    "test_volcano_stages",
    "test_wall_clock",
}
"""What the second of two clusters has to do: about as much as is left to the first."""


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Two workers have a cluster each. On a named one only those that it can run.

    Lower levels go first: where a test plays what controllers do, they must not have been started by another.
    """
    ours = [item for item in items if item.path.is_relative_to(_HERE)]
    for item in ours:
        item.add_marker(pytest.mark.xdist_group("second" if item.path.stem in _SECOND else "first"))
    items.sort(key=_level)
    if _NAMED:
        left_out = [item for item in ours if isinstance(item, pytest.Function) and "machine" in item.fixturenames]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def _level(item: pytest.Item) -> int:
    """0: at most an API server, 1: controllers, 2: kubelets."""
    wanted = set(item.fixturenames) if isinstance(item, pytest.Function) else set[str]()
    return 2 if wanted & _WITH_KUBELETS else int("control_plane" in wanted)


@pytest.fixture(scope="session")
def machine() -> Iterator[Local]:
    """The store and the API server, as processes of this machine."""
    require(Level.API)
    with local.started(with_network=not missing(Level.NODE)) as running:
        yield running


@pytest.fixture(scope="session")
def api(machine: Local) -> Cluster:
    """Level A: an API server. It knows JobSet's kind; nothing acts on any object."""
    return Cluster(machine.api.kubeconfig, machine.api, machine.nodes)


@pytest.fixture(scope="session")
def served(api: Cluster) -> Cluster:
    """Level A with our kind."""
    establish(api.api, [yaml.safe_load(_CRD.read_text())])
    return api


@pytest.fixture
def front(api: Cluster) -> Iterator[Proxy]:
    """A way to the API server that can be broken."""
    with proxy(api.api) as made:
        yield made


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3_server.Server]:
    """An S3 server of this machine, in the environment of this process too."""
    with s3_server.serve(tmp_path_factory.mktemp("s3")) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment().items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(scope="session")
def kinds(api: Cluster) -> Cluster:
    """Level A with the kinds of JobSet, Kueue and Karpenter; nothing acts on them unless their controller runs."""
    establish_third_parties(api.api)
    return api


@pytest.fixture(scope="session")
def control_plane(machine: Local, api: Cluster) -> Cluster:
    """Level B: the controllers, the scheduler and JobSet."""
    require(Level.CONTROL_PLANE)
    machine.start_controllers()
    return api


@pytest.fixture(scope="session")
def kueue(machine: Local, control_plane: Cluster) -> Cluster:
    """Level B with Kueue."""
    machine.start_kueue()
    return control_plane


@pytest.fixture(scope="session")
def kwok_node(machine: Local, control_plane: Cluster) -> Cluster:
    """Level B with a node that has no kubelet: pods of Jobs that tolerate it run there for a second."""
    machine.start_kwok()
    kwok.add_node(machine.api, "kwok1", {"cpu": "32", "memory": "256Gi"})
    return control_plane


@pytest.fixture(scope="session")
def node(machine: Local, control_plane: Cluster) -> Cluster:
    """Level C: a node with a kubelet, and DNS."""
    require(Level.NODE)
    machine.start_dns()
    machine.add_node(1)
    return control_plane


@pytest.fixture(scope="session")
def two_nodes(machine: Local, node: Cluster) -> Cluster:
    """Level C with a second node."""
    machine.add_node(2)
    return node


@pytest.fixture(scope="session")
def storage(request: pytest.FixtureRequest) -> Storage:
    """An S3 server of this machine, which pods reach over the bridge; with a named cluster, the environment's."""
    if _NAMED:
        return from_environment(os.environ)
    request.getfixturevalue("node")
    machine: Local = request.getfixturevalue("machine")
    return machine.start_storage()


@pytest.fixture(scope="session")
def training(two_nodes: Cluster) -> Cluster:
    """Level D: two nodes that have the trainer's image."""
    require(Level.TRAINING)
    return two_nodes


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """What an end-to-end test runs on: the cluster that KUBECONFIG names, else level D of ours."""
    if not _NAMED:
        yield request.getfixturevalue("training")
        return
    connection = Api.connect(Path(_NAMED))
    yield Cluster(Path(_NAMED), connection)
    connection.client.close()


@pytest.fixture(scope="session")
def breakable(cluster: Cluster) -> Cluster:
    """The same, for tests that kill processes or cut a node's power: a named cluster's are not ours to break."""
    if not cluster.machines:
        pytest.skip("the nodes of a cluster that KUBECONFIG names are not this machine's to break")
    return cluster


@pytest.fixture(scope="module")
def place(cluster: Cluster, storage: Storage) -> Iterator[Place]:
    """A namespace and a bucket in which stages run; this process finds the store in its environment too."""
    with cluster.namespace("stages") as namespace, pytest.MonkeyPatch.context() as patch:
        storage.offer(cluster.api, namespace)
        for name, value in storage.environment().items():
            patch.setenv(name, value)
        made = Place(cluster, namespace, storage)
        made.make_bucket()
        yield made


@pytest.fixture(scope="module")
def pairs(place: Place) -> dict[str, str]:
    """Conditions and pairs of a task with an exact answer, made on the cluster: what stage 2 reads."""
    store_at(place.root).put("prompts.txt", b"turning left\nturning right\n")
    words = ("--experiment", "closed_form/gaussian_kd", "--resource", "cpu_tiny")
    few = ("pairs.samples_per_prompt=64", "pairs.block_size=64", "pairs.solver_steps=8")
    place.run("encode", *words, "--prompts", f"{place.root}/prompts.txt", wait=True)
    place.run("stage1", *words, *few, wait=True)
    return {"conditions": f"{place.root}/encode", "pairs": f"{place.root}/stage1"}
