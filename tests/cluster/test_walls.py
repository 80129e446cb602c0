"""A namespace is a wall: whoever may do everything in `fastgen` may do nothing beyond it, by whatever token."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.cluster.accounts import as_user, token, with_token
from tests.cluster.api import Api, Object, Refused
from tests.cluster.cluster import Cluster
from tests.cluster.custom import establish
from tests.manifests.jobs import job, templates
from tests.manifests.namespaces import FIRST, OURS, SECOND, both

pytestmark = pytest.mark.cluster

RBAC = "rbac.authorization.k8s.io"
PIPELINES, JOBSETS = "distillationpipelines.v1alpha1.fastgen-k8s.github.io", "jobsets.v1alpha2.jobset.x-k8s.io"
LEASES = "leases.v1.coordination.k8s.io"
STANDING = {"Namespace", "ServiceAccount", "Role", "RoleBinding", "ClusterRole"}
ACCOUNTS = {FIRST: "fastgen-trainer", SECOND: "fastgen-trainer", OURS: "fastgen-controller"}
EDITOR = "olga"
DRY = {"dryRun": "All"}
EDITS: Object = {
    "apiVersion": f"{RBAC}/v1",
    "kind": "RoleBinding",
    "metadata": {"name": f"{EDITOR}-edits", "namespace": FIRST},
    "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "edit"},
    "subjects": [{"apiGroup": RBAC, "kind": "User", "name": EDITOR}],
}


@dataclass
class Walls:
    """A cluster with two namespaces of pipelines and the controller's, and ways into it."""

    cluster: Cluster
    ways: dict[str, Api]


@pytest.fixture(scope="module")
def walls(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walls]:
    """What stands there, somebody who edits the first, and the tokens that there are to be had."""
    cluster = control_plane
    establish(cluster.api, [made for made in both() if made["kind"] == "CustomResourceDefinition"])
    for made in sorted(both(), key=lambda made: made["kind"] != "Namespace"):
        if made["kind"] in STANDING:
            cluster.api.apply(made)
    cluster.api.apply(EDITS)
    cluster.watch_until(f"clusterroles.v1.{RBAC}", lambda found: grants(found["edit"], "jobsets"), name="edit")
    cluster.wait_for("serviceaccounts", "default", bool, FIRST)
    editor, folder = as_user(cluster.api, EDITOR), tmp_path_factory.mktemp("tokens")
    ways = {"the editor": editor}
    tokens = {
        "a job's account": token(editor, FIRST, "fastgen-trainer"),  # the editor may ask for this one
        "the namespace's own account": token(editor, FIRST, "default"),
        "the controller": token(cluster.api, OURS, "fastgen-controller"),  # and may not for this one (below)
    }
    for name, said in tokens.items():
        ways[name] = Api.connect(with_token(cluster.kubeconfig, said, folder / name))
    yield Walls(cluster, ways)
    for name in tokens:
        ways[name].client.close()
    cluster.api.delete(f"rolebindings.v1.{RBAC}", EDITS["metadata"]["name"], FIRST)
    cluster.api.delete("namespaces", SECOND)


def grants(role: Object, resource: str) -> bool:
    """Whether a role may make such objects."""
    return any(resource in rule.get("resources", ()) and "create" in rule["verbs"] for rule in role.get("rules") or ())


def a_pod(namespace: str) -> Object:
    """A pod as the account of its namespace, with that account's token."""
    spec = templates(job(resource="cpu_tiny"))["trainer"]["spec"]
    spec |= {"serviceAccountName": ACCOUNTS.get(namespace, "default"), "automountServiceAccountToken": True}
    place = {"name": "tried", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": place, "spec": spec}


def a_lease(namespace: str) -> Object:
    """Who holds one leads, where controllers look."""
    place = {"name": "tried", "namespace": namespace}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": place,
        "spec": {"holderIdentity": "me"},
    }


def a_binding(namespace: str) -> Object:
    """`edit` for whoever asks."""
    return {**EDITS, "metadata": {"name": "tried", "namespace": namespace}}


TRIED: dict[str, Callable[[Api, str], object]] = {
    "makes a pod": lambda api, namespace: api.create(a_pod(namespace), **DRY),
    "sees pods": lambda api, namespace: api.list("pods", namespace),
    "reads secrets": lambda api, namespace: api.list("secrets", namespace),
    "reads settings": lambda api, namespace: api.list("configmaps", namespace),
    "asks for a token": lambda api, namespace: token(api, namespace, ACCOUNTS.get(namespace, "default")),
    "makes a job": lambda api, namespace: api.create(job({"namespace": namespace}), **DRY),
    "sees pipelines": lambda api, namespace: api.list(PIPELINES, namespace),
    "sees leases": lambda api, namespace: api.list(LEASES, namespace),
    "makes a lease": lambda api, namespace: api.create(a_lease(namespace), **DRY),
    "binds itself": lambda api, namespace: api.create(a_binding(namespace), **DRY),
}
ALLOWED: dict[tuple[str, str], set[str]] = {
    ("the editor", FIRST): {
        "makes a pod",
        "sees pods",
        "reads secrets",
        "reads settings",
        "asks for a token",
        "makes a job",
        "sees pipelines",
        "sees leases",
        "makes a lease",
    },
    ("the controller", FIRST): {"sees pods", "makes a job", "sees pipelines"},
    ("the controller", SECOND): {"sees pods", "makes a job", "sees pipelines"},
    ("the controller", OURS): {"makes a lease"},
}
"""What each may do anywhere; the rest is refused. The controller's jobs are judged by a policy besides."""
WAYS = ("the editor", "a job's account", "the namespace's own account", "the controller")
PLACES = (FIRST, SECOND, OURS, "default", "kube-system")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("namespace", PLACES)
def test_nobody_gets_beyond_the_own_namespace(walls: Walls, way: str, namespace: str) -> None:
    answers = {tried: answer(do, walls.ways[way], namespace) for tried, do in TRIED.items()}
    may = ALLOWED.get((way, namespace), set())
    assert answers == {tried: 200 if tried in may else 403 for tried in TRIED}


def test_a_namespace_lets_the_controller_in_by_its_binding_alone(walls: Walls) -> None:
    made = [one for one in both() if one["metadata"].get("namespace") == SECOND]
    [binding] = [one for one in made if one["kind"] == "RoleBinding"]
    walls.cluster.api.delete(f"rolebindings.v1.{RBAC}", binding["metadata"]["name"], SECOND)
    try:
        until = time.monotonic() + 30
        while answer(TRIED["sees pipelines"], walls.ways["the controller"], SECOND) == 200:
            assert time.monotonic() < until  # nothing tells when the authoriser has heard of it
            time.sleep(0.05)
    finally:
        walls.cluster.api.apply(binding)


def answer(do: Callable[[Api, str], object], api: Api, namespace: str) -> int:
    """What the authoriser says: it has let through whatever a policy refuses afterwards."""
    try:
        do(api, namespace)
    except Refused as refused:
        return 200 if "ValidatingAdmissionPolicy" in str(refused) else refused.status
    return 200
