"""The cluster of this machine, level by level: what runs, in which order it is started, and how it is stopped."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster import control_plane, dns, images, jobset, kueue, kwok, leftovers, network, state, storage
from tests.cluster.addresses import API_PORT, HOST
from tests.cluster.api import Api, State
from tests.cluster.certificates import Authority
from tests.cluster.daemons import Daemon, again, free_port
from tests.cluster.node import Node
from tests.cluster.pods import is_ready
from tests.cluster.storage import Storage


@dataclass
class Local:
    """A cluster whose programs are children of this process."""

    folder: Path
    authority: Authority
    server: str
    api: Api
    daemons: dict[str, Daemon] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)

    @property
    def logs(self) -> Path:
        return state.logs()

    def start_api(self, address: str, port: int) -> None:
        """The store and the API server, which serves JobSet's kind."""
        daemon, store = control_plane.etcd(self.folder / "etcd", self.logs)
        self._keep(daemon)
        admin = self.authority.pair("admin")
        self._keep(control_plane.api_server(self.authority, admin, store, address, port, self.logs))
        jobset.install(self.api)

    @contextmanager
    def without_api(self) -> Generator[None]:
        """An outage of the API server itself: its process ends, and in the end another one is ready in its place."""
        name = "kube-apiserver"
        self.daemons[name].stop()
        try:
            yield
        finally:
            self.daemons[name] = again(self.daemons[name])
            self.daemons[name].wait(self.api.ready)

    def start_controllers(self) -> None:
        """The controllers, the scheduler and JobSet. They work once they publish the authority to pods."""
        self._keep(control_plane.controllers(self.authority, self.server, self.logs))
        self._keep(control_plane.scheduler(self.authority, self.server, self.logs))
        self._keep(jobset.run(self.api, self.authority, self.folder / "jobset", self.logs))
        self.api.watch_until("configmaps", lambda found: "kube-root-ca.crt" in found, "default")

    def start_kueue(self) -> None:
        self._keep(kueue.run(self.api, self.folder / "kueue", self.logs))

    def start_kwok(self) -> None:
        self._keep(kwok.run(self.api, self.folder / "kwok", self.logs))

    def start_dns(self) -> None:
        self._keep(dns.run(self.api, self.folder / "dns", self.logs))

    def start_storage(self) -> Storage:
        daemon, served = storage.run(self.folder / "storage", self.logs)
        self._keep(daemon)
        return served

    def add_node(self, index: int) -> Node:
        """A node, ready, with all the images that there are."""
        network.add_node(index, [other.index for other in self.nodes.values()])
        node = Node(index, self.folder / f"node{index}", self.authority, self.server)
        self.nodes[node.name] = node
        node.insert(images.there())
        node.start_runtime()
        node.start_kubelet()
        self.api.watch_until("nodes", lambda found: _ready(found, node.name), name=node.name)
        return node

    def stop(self) -> None:
        """End all programs, the nodes' first, and take away what they leave."""
        for node in self.nodes.values():
            for daemon in node.daemons:
                daemon.stop()
        for daemon in reversed(self.daemons.values()):
            daemon.stop()

    def _keep(self, daemon: Daemon) -> None:
        self.daemons[daemon.name] = daemon


@contextmanager
def started(with_network: bool) -> Generator[Local]:
    """The store and the API server, and at the end nothing of what was started on top of them.

    Without a network of its own (that takes root) the API server answers on the loopback address.
    """
    folder = state.folder()
    with state.only_one():
        leftovers.clean(folder)
        shutil.rmtree(state.logs(), ignore_errors=True)
        address, port = (HOST, API_PORT) if with_network else ("127.0.0.1", free_port())
        server = f"https://{address}:{port}"
        authority = Authority.create(folder / "certificates")
        api = Api.connect(authority.kubeconfig(server, "admin", "admin", "system:masters"))
        local = Local(folder, authority, server, api)
        try:
            if with_network:
                leftovers.remember(folder)
                network.create()
            local.start_api(address, port)
            yield local
        finally:
            local.stop()
            api.client.close()
            leftovers.clean(folder)


def _ready(nodes: State, name: str) -> bool:
    return name in nodes and is_ready(nodes[name])
