"""The cluster's DNS: CoreDNS as a process of this machine behind the Service that kubelets tell pods about."""

from pathlib import Path

from tests.cluster.addresses import DNS_PORT, DNS_SERVICE, HOST
from tests.cluster.api import Api, Object
from tests.cluster.daemons import Daemon, answers, free_port, start
from tests.cluster.programs import program


def run(api: Api, folder: Path, logs: Path) -> Daemon:
    """CoreDNS, ready, and its Service."""
    folder.mkdir(parents=True)
    ready = free_port()
    (folder / "Corefile").write_text(corefile(api.kubeconfig, ready))
    for made in (*external_service("kube-dns", "kube-system", "53", DNS_PORT, DNS_SERVICE),):
        api.apply(made)
    daemon = start("coredns", (program("coredns"), f"-conf={folder / 'Corefile'}"), logs)
    daemon.wait(answers(f"http://127.0.0.1:{ready}/ready"))
    return daemon


def corefile(kubeconfig: Path, ready: int) -> str:
    """Names of the cluster, never cached; any other name fails at once instead of after five seconds."""
    return f"""
.:{DNS_PORT} {{
    bind {HOST}
    errors
    ready 127.0.0.1:{ready}
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig}
        ttl 0
    }}
    template ANY ANY . {{
        rcode NXDOMAIN
    }}
}}
"""


def external_service(name: str, namespace: str, port: str, target: int, address: str = "") -> tuple[Object, Object]:
    """A Service without a selector, and where it leads: a port of the machine on the bridge, by TCP and UDP."""
    protocols = ("TCP", "UDP") if port == "53" else ("TCP",)
    place = {"name": name, "namespace": namespace}
    asked = [{"name": p.lower(), "protocol": p, "port": int(port), "targetPort": target} for p in protocols]
    service: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": place,
        "spec": {"ports": asked} | ({"clusterIP": address} if address else {}),
    }
    endpoints: Object = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": place | {"labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": p.lower(), "protocol": p, "port": target} for p in protocols],
        "endpoints": [{"addresses": [HOST], "conditions": {"ready": True}}],
    }
    return service, endpoints
