"""The addresses of the cluster: one place for each number, and which node has which."""

BRIDGE = "kb0"
HOST = "10.201.0.1"  # of the bridge: the API server, DNS and S3 as pods see them
HOSTS = "10.201.0.0/24"
PODS = "10.244.0.0/16"
SERVICES = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
DNS_PORT = 1053
API_PORT = 6443


def node_name(index: int) -> str:
    return f"node{index}"


def node_address(index: int) -> str:
    return f"10.201.0.{10 + index}"


def pod_range(index: int) -> str:
    return f"10.244.{index}.0/24"


def namespace(index: int) -> str:
    """The network namespace of a node."""
    return f"fastgen-{node_name(index)}"
