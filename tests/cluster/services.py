"""Services that lead out of the cluster: to a program of this machine, which pods reach over the bridge."""

from tests.cluster.addresses import HOST
from tests.cluster.api import Object


def outside(name: str, namespace: str, port: int, target: int, *protocols: str, address: str = "") -> list[Object]:
    """A Service without a selector, and the slice that says where it leads."""
    place = {"name": name, "namespace": namespace}
    spec: Object = {"ports": [_port(protocol) | {"port": port, "targetPort": target} for protocol in protocols]}
    service: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": place,
        "spec": spec | ({"clusterIP": address} if address else {}),
    }
    ends: Object = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": place | {"labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [_port(protocol) | {"port": target} for protocol in protocols],
        "endpoints": [{"addresses": [HOST], "conditions": {"ready": True}}],
    }
    return [service, ends]


def _port(protocol: str) -> Object:
    return {"name": protocol.lower(), "protocol": protocol}
