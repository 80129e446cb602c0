"""The configuration files of a node's programs, as text: pure, so that a change of one shows in one place."""

import json
from pathlib import Path
from typing import Any

from tests.cluster.addresses import DNS_SERVICE, PODS, namespace, node_address, node_name, pod_range

PAUSE_IMAGE = "localhost/pause:1"


def control_group(index: int) -> str:
    """The node's folder in each controller of the machine's control groups."""
    return namespace(index)


def containerd(folder: Path) -> str:
    """containerd with a root, a state and a network configuration of its own.

    Our root may not raise a process's OOM score, hence `restrict_oom_score_adj`.
    """
    return f"""
version = 2
root = "{folder}/containerd"
state = "{folder}/run"
[grpc]
address = "{folder}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{folder}/cni"
"""


def network(index: int, folder: Path) -> str:
    """A bridge in the node's namespace, an address a pod. Masquerading is the node's own rule (see network.py)."""
    addresses = {"type": "host-local", "dataDir": f"{folder}/addresses", "ranges": [[{"subnet": pod_range(index)}]]}
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": addresses | {"routes": [{"dst": "0.0.0.0/0"}]},
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]})


def kubelet(index: int, folder: Path, client_ca: Path) -> str:
    """A kubelet that reports often, evicts late, and leaves the machine's own settings to the cluster's clean-up."""
    said: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node_address(index),
        "authentication": {"x509": {"clientCAFile": str(client_ca)}, "anonymous": {"enabled": False}},
        "containerRuntimeEndpoint": f"unix://{folder}/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{control_group(index)}",
        "enforceNodeAllocatable": [],
        "oomScoreAdj": 0,
        "failSwapOn": False,
        "podLogsDir": f"{folder}/pod-logs",
        "volumePluginDir": f"{folder}/volume-plugins",
        "resolvConf": f"{folder}/resolv.conf",
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "nodeStatusUpdateFrequency": "2s",
        "nodeLeaseDurationSeconds": 10,
        "seccompDefault": True,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "healthzBindAddress": "127.0.0.1",
    }
    return json.dumps(said)


def proxy(index: int, kubeconfig: Path) -> str:
    """kube-proxy by nftables; the limits of connection tracking are the machine's and stay as they are."""
    said: dict[str, Any] = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "mode": "nftables",
        "clusterCIDR": PODS,
        "hostnameOverride": node_name(index),
        "conntrack": {"maxPerCore": 0},
    }
    return json.dumps(said)
