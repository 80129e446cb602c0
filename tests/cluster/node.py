"""A node: a network namespace with containerd, a kubelet and kube-proxy in it, which can lose its power."""

import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster import disks, groups, leftovers, network, node_files, state
from tests.cluster.addresses import namespace, node_address, node_name
from tests.cluster.certificates import Authority
from tests.cluster.daemons import Daemon, start
from tests.cluster.pods import PodProcess, processes
from tests.cluster.programs import program


@dataclass
class Node:
    """One of the cluster's nodes; its files are below `folder`."""

    index: int
    folder: Path
    authority: Authority
    server: str
    daemons: list[Daemon] = field(default_factory=list)

    @property
    def name(self) -> str:
        return node_name(self.index)

    @property
    def logs(self) -> Path:
        return state.logs() / self.name

    def insert(self, archives: Sequence[Path]) -> None:
        """Give it a disk that holds these images."""
        self.folder.mkdir(parents=True)
        disks.hand_out(archives, self.folder / "containerd")

    def start_runtime(self) -> None:
        """containerd."""
        self._write("containerd.toml", node_files.containerd(self.folder))
        self._write("cni/10-pods.conflist", node_files.network(self.index, self.folder))
        daemon = self._start("containerd", "containerd", f"--config={self.folder}/containerd.toml")
        disks.accepts(daemon, self.folder / "containerd.sock")

    def start_kubelet(self) -> None:
        """The kubelet and kube-proxy. The node is ready when the API server says so."""
        groups.create(node_files.control_group(self.index))
        user = f"system:node:{self.name}"
        kubelet = self.authority.kubeconfig(self.server, f"kubelet-{self.name}", user, "system:nodes")
        proxy = self.authority.kubeconfig(self.server, "kube-proxy", "system:kube-proxy")
        self._write("resolv.conf", "")
        self._write("kubelet.yaml", node_files.kubelet(self.index, self.folder, self.authority.ca.certificate))
        self._write("kube-proxy.yaml", node_files.proxy(self.index, proxy))
        self._start(
            "kubelet",
            program("kubelet"),
            f"--config={self.folder}/kubelet.yaml",
            f"--kubeconfig={kubelet}",
            f"--root-dir={self.folder}/kubelet",
            f"--cert-dir={self.folder}/kubelet-pki",
            f"--node-ip={node_address(self.index)}",
            f"--hostname-override={self.name}",
        )
        self._start("kube-proxy", program("kube-proxy"), f"--config={self.folder}/kube-proxy.yaml")

    def load(self, archive: Path) -> None:
        """Import one more docker archive."""
        disks.import_into(self.folder / "containerd.sock", archive)

    def power_off(self) -> None:
        """What the others see of a node that loses its power: everything stops at once and says nothing more."""
        network.set_link(self.index, "down")
        for daemon in self.daemons:
            daemon.stop()
        self.daemons.clear()
        leftovers.kill_pods(self.index, self.folder)

    def power_on(self) -> None:
        """Start again with the same disk: images are there, containers are not."""
        leftovers.unmount_below(self.folder)
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        network.set_link(self.index, "up")
        self.start_runtime()
        self.start_kubelet()

    def processes(self, uid: str, container: str) -> tuple[PodProcess, ...]:
        """The processes of a container of the pod with this uid, by its control group."""
        return tuple(processes(groups.of_container(node_files.control_group(self.index), uid, container)))

    def kill(self, process: PodProcess, number: signal.Signals = signal.SIGKILL) -> None:
        os.kill(process.pid, number)

    def _start(self, name: str, *command: str | Path) -> Daemon:
        daemon = start(name, command, self.logs, namespace=namespace(self.index))
        self.daemons.append(daemon)
        return daemon

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
