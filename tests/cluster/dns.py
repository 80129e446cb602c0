"""The cluster's DNS: CoreDNS as a process of this machine behind the Service that kubelets tell pods about."""

from pathlib import Path

from tests.cluster.addresses import DNS_PORT, DNS_SERVICE, HOST
from tests.cluster.api import Api
from tests.cluster.daemons import Daemon, answers, free_port, start
from tests.cluster.programs import program
from tests.cluster.services import outside


def run(api: Api, folder: Path, logs: Path) -> Daemon:
    """CoreDNS, ready, and its Service."""
    folder.mkdir(parents=True)
    ready = free_port()
    (folder / "Corefile").write_text(corefile(api.kubeconfig, ready))
    for made in outside("kube-dns", "kube-system", 53, DNS_PORT, "TCP", "UDP", address=DNS_SERVICE):
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
