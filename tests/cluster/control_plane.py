"""etcd, the API server, the controllers and the scheduler, started as processes of this machine."""

import ssl
from pathlib import Path

from tests.cluster.addresses import API_SERVICE, SERVICES
from tests.cluster.certificates import Authority, Pair
from tests.cluster.daemons import Daemon, answers, free_port, start
from tests.cluster.programs import program


def etcd(data: Path, logs: Path) -> tuple[Daemon, str]:
    """The store, and where it answers. It never flushes: nobody needs it after a crash."""
    client, peer = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
    command = (
        program("etcd"),
        f"--data-dir={data}",
        "--unsafe-no-fsync",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    )
    daemon = start("etcd", command, logs)
    daemon.wait(answers(f"{client}/health"))
    return daemon, client


def api_server(authority: Authority, admin: Pair, store: str, address: str, port: int, logs: Path) -> Daemon:
    """The API server. It reaches kubelets by address, since no DNS knows the nodes' names."""
    serving = authority.issue("apiserver", "kube-apiserver", hosts=("127.0.0.1", address, API_SERVICE, "kubernetes"))
    command = (
        program("kube-apiserver"),
        f"--etcd-servers={store}",
        f"--bind-address={address}",
        f"--advertise-address={address}",
        f"--secure-port={port}",
        f"--tls-cert-file={serving.certificate}",
        f"--tls-private-key-file={serving.key}",
        f"--client-ca-file={authority.ca.certificate}",
        f"--kubelet-client-certificate={admin.certificate}",
        f"--kubelet-client-key={admin.key}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-cluster-ip-range={SERVICES}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={authority.service_accounts.certificate}",
        f"--service-account-signing-key-file={authority.service_accounts.key}",
        "--authorization-mode=Node,RBAC",
        "--enable-priority-and-fairness=false",
    )
    daemon = start("kube-apiserver", command, logs)
    context = ssl.create_default_context(cafile=authority.ca.certificate)
    context.load_cert_chain(admin.certificate, admin.key)
    daemon.wait(answers(f"https://{address}:{port}/readyz", context))
    return daemon


def controllers(authority: Authority, server: str, logs: Path) -> Daemon:
    """The controller manager, quick to see that a node is gone."""
    name = "kube-controller-manager"
    command = (
        program(name),
        f"--kubeconfig={authority.kubeconfig(server, name, f'system:{name}')}",
        f"--root-ca-file={authority.ca.certificate}",
        f"--service-account-private-key-file={authority.service_accounts.key}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--allocate-node-cidrs=false",
        "--node-monitor-period=1s",
        "--node-monitor-grace-period=10s",
        "--pvclaimbinder-sync-period=1s",
        "--secure-port=0",
    )
    return start(name, command, logs)


def scheduler(authority: Authority, server: str, logs: Path) -> Daemon:
    """The scheduler."""
    name = "kube-scheduler"
    kubeconfig = authority.kubeconfig(server, name, f"system:{name}")
    command = (program(name), f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0")
    return start(name, command, logs)
