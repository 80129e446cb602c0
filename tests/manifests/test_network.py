"""Every flow that the system needs is let through, and the others are not. Nothing enforced the policies here."""

from collections.abc import Mapping

import pytest

from tests.manifests.jobs import job, templates
from tests.manifests.network import End, allowed
from tests.manifests.render import OVERLAYS, Object, render

LABELS = {name: pod["metadata"]["labels"] for name, pod in templates(job()).items()}  # as the launcher puts them
TRAINER, RENDEZVOUS = End(LABELS["trainer"], "fastgen"), End(LABELS["rendezvous"], "fastgen")
FOREIGN = End(LABELS["trainer"], "default")  # who calls itself a trainer elsewhere
[POD] = [made["spec"]["template"] for made in render("base") if made["kind"] == "Deployment"]
[PROCESS] = POD["spec"]["containers"]
NAMED = {port["name"]: port["containerPort"] for port in PROCESS["ports"]}
CONTROLLER = End(POD["metadata"]["labels"], "fastgen-system", ports=NAMED)
PRETENDER = End(POD["metadata"]["labels"], "fastgen", ports=NAMED)  # who calls itself the controller among the jobs
DNS = End({"k8s-app": "kube-dns"}, "kube-system")
STORE = End({"app.kubernetes.io/name": "seaweedfs"}, "fastgen")
SCRAPER = End({"app.kubernetes.io/name": "prometheus"}, "monitoring")
STRANGER = End({"app": "shell"}, "default")
UNLABELLED = End({}, "fastgen")
UNLABELLED_THERE = End({}, "fastgen-system")
API = End(address="10.96.0.1")
PUBLIC = End(address="52.216.0.1")  # where a cloud's store is
NODE = End(address="169.254.169.254")  # where a cloud's node keeps its credentials
POD_IDENTITY = End(address="169.254.170.23")
PRIVATE = End(address="10.0.3.7")

Flow = tuple[End, End, int, str]

NEEDED: Mapping[str, Flow] = {
    "trainer to trainer, gloo": (TRAINER, TRAINER, 41234, "TCP"),
    "trainer to trainer, NCCL": (TRAINER, TRAINER, 1024, "TCP"),
    "trainer to rendezvous": (TRAINER, RENDEZVOUS, 29400, "TCP"),
    "trainer to DNS": (TRAINER, DNS, 53, "UDP"),
    "trainer to DNS, long answers": (TRAINER, DNS, 53, "TCP"),
    "controller to DNS": (CONTROLLER, DNS, 53, "UDP"),
    "controller to DNS, long answers": (CONTROLLER, DNS, 53, "TCP"),
    "controller to API server": (CONTROLLER, API, 443, "TCP"),
    "controller to API server, by its own port": (CONTROLLER, PRIVATE, 6443, "TCP"),
}
INSIDE: Mapping[str, Flow] = {
    "trainer to store": (TRAINER, STORE, 8333, "TCP"),
    "rendezvous to store": (RENDEZVOUS, STORE, 8333, "TCP"),
    "controller to store": (CONTROLLER, STORE, 8333, "TCP"),
}
OUTSIDE: Mapping[str, Flow] = {
    "trainer to store": (TRAINER, PUBLIC, 443, "TCP"),
    "rendezvous to store": (RENDEZVOUS, PUBLIC, 443, "TCP"),
    "controller to store": (CONTROLLER, PUBLIC, 443, "TCP"),
}
METRICS: Mapping[str, Flow] = {"scraper to controller": (SCRAPER, CONTROLLER, 8080, "TCP")}
IDENTITY: Mapping[str, Flow] = {
    "trainer to the identity agent": (TRAINER, POD_IDENTITY, 80, "TCP"),
    "controller to the identity agent": (CONTROLLER, POD_IDENTITY, 80, "TCP"),
}

ALSO_NEEDED = {
    "overlays/kind": INSIDE,
    "overlays/eks": {**OUTSIDE, **METRICS, **IDENTITY},
    "overlays/gke": {**OUTSIDE, **METRICS},
}
REFUSED: Mapping[str, Flow] = {
    "trainer to API server": (TRAINER, API, 443, "TCP"),
    "rendezvous to API server": (RENDEZVOUS, API, 443, "TCP"),
    "trainer to the node's credentials": (TRAINER, NODE, 80, "TCP"),
    "trainer to a private address": (TRAINER, PRIVATE, 443, "TCP"),
    "trainer to the internet without TLS": (TRAINER, PUBLIC, 80, "TCP"),
    "trainer to controller": (TRAINER, CONTROLLER, 8080, "TCP"),
    "controller to trainer": (CONTROLLER, TRAINER, 41234, "TCP"),
    "controller to rendezvous": (CONTROLLER, RENDEZVOUS, 29400, "TCP"),
    "controller to the node's credentials": (CONTROLLER, NODE, 80, "TCP"),
    "controller to the internet without TLS": (CONTROLLER, PUBLIC, 80, "TCP"),
    "trainer to trainer's system ports": (TRAINER, TRAINER, 22, "TCP"),
    "trainer to trainer by UDP": (TRAINER, TRAINER, 41234, "UDP"),
    "rendezvous to trainer": (RENDEZVOUS, TRAINER, 41234, "TCP"),
    "trainer to rendezvous, elsewhere": (TRAINER, RENDEZVOUS, 8080, "TCP"),
    "trainer to DNS, elsewhere": (TRAINER, DNS, 443, "TCP"),
    "trainer to another namespace": (TRAINER, STRANGER, 41234, "TCP"),
    "another namespace to trainer": (STRANGER, TRAINER, 41234, "TCP"),
    "another namespace to rendezvous": (STRANGER, RENDEZVOUS, 29400, "TCP"),
    "another namespace to store": (STRANGER, STORE, 8333, "TCP"),
    "another namespace to metrics": (STRANGER, CONTROLLER, 8080, "TCP"),
    "scraper to trainer": (SCRAPER, TRAINER, 8080, "TCP"),
    "scraper to who calls itself the controller": (SCRAPER, PRETENDER, 8080, "TCP"),
    "who calls itself the controller to the API server": (PRETENDER, API, 443, "TCP"),
    "who calls itself a trainer elsewhere to store": (FOREIGN, STORE, 8333, "TCP"),
    "who calls itself a trainer elsewhere to rendezvous": (FOREIGN, RENDEZVOUS, 29400, "TCP"),
    "a pod without labels to the API server": (UNLABELLED, API, 443, "TCP"),
    "a pod without labels beside the controller to the API server": (UNLABELLED_THERE, API, 443, "TCP"),
    "a pod without labels beside the controller to the internet": (UNLABELLED_THERE, PUBLIC, 443, "TCP"),
    "trainer to the store's filer": (TRAINER, STORE, 8888, "TCP"),
    "trainer to the store's own gRPC": (TRAINER, STORE, 18333, "TCP"),
    "a pod without labels to store": (UNLABELLED, STORE, 8333, "TCP"),
    "a pod without labels to the internet": (UNLABELLED, PUBLIC, 443, "TCP"),
    "trainer to the store's other ports": (TRAINER, STORE, 9333, "TCP"),
    "store to the internet": (STORE, PUBLIC, 443, "TCP"),
}
CASES = [(folder, flow) for folder in OVERLAYS for flow in (*NEEDED, *ALSO_NEEDED[folder])]


def policies(folder: str) -> list[Object]:
    return [made for made in render(folder) if made["kind"] == "NetworkPolicy"]


@pytest.mark.parametrize(("folder", "flow"), CASES)
def test_a_flow_that_is_needed_is_let_through(folder: str, flow: str) -> None:
    source, target, port, protocol = {**NEEDED, **ALSO_NEEDED[folder]}[flow]
    assert allowed(policies(folder), source, target, port, protocol)


@pytest.mark.parametrize("flow", REFUSED)
@pytest.mark.parametrize("folder", OVERLAYS)
def test_a_flow_that_nobody_needs_is_refused(folder: str, flow: str) -> None:
    source, target, port, protocol = REFUSED[flow]
    assert not allowed(policies(folder), source, target, port, protocol)


def test_on_a_cluster_of_ones_own_nothing_leaves() -> None:
    everywhere = (TRAINER, RENDEZVOUS, STORE, UNLABELLED, UNLABELLED_THERE)
    leaks = [
        end for end in everywhere for port in (53, 80, 443) if allowed(policies("overlays/kind"), end, PUBLIC, port)
    ]
    assert leaks == []


def place(policy: Object) -> tuple[str, str]:
    """Where a policy is, and its name."""
    return policy["metadata"]["namespace"], policy["metadata"]["name"]


@pytest.mark.parametrize(
    "hole", sorted(place(made) for made in policies("overlays/kind") if place(made)[1] != "default-deny"), ids="/".join
)
def test_each_hole_is_needed(hole: tuple[str, str]) -> None:
    fewer = [made for made in policies("overlays/kind") if place(made) != hole]
    flows = [*NEEDED.values(), *INSIDE.values()]
    assert not all(allowed(fewer, *flow) for flow in flows)


def test_without_policies_everything_is_open() -> None:
    assert allowed([], STRANGER, TRAINER, 22)
