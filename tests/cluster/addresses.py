"""The addresses and names of the cluster: one place for each, and which node has which.

A cluster has a slot of its own: each worker of a test run the next one, counted from FASTGEN_CLUSTER_SLOT, which is for
those who share a machine.
"""

import os

_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
SLOT = int(os.environ.get("FASTGEN_CLUSTER_SLOT", "0")) + int(_WORKER)
BRIDGE = f"kb{SLOT}"
HOST = f"10.201.{SLOT}.1"  # of the bridge: the API server, DNS and S3 as pods see them
HOSTS = f"10.201.{SLOT}.0/24"
PODS = "10.244.0.0/16"
SERVICES = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
DNS_PORT = 1053
API_PORT = 6443


def node_name(index: int) -> str:
    return f"node{index}"


def node_address(index: int) -> str:
    return f"10.201.{SLOT}.{10 + index}"


def pod_range(index: int) -> str:
    return f"10.244.{index}.0/24"


def namespace(index: int) -> str:
    """The network namespace of a node, and its control group."""
    return f"fastgen-{SLOT}-{node_name(index)}"


def link(index: int) -> str:
    """The bridge's end of a node's cable."""
    return f"fgh{SLOT}-{index}"
