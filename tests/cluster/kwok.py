"""Nodes without a kubelet: kwok says what one would say, so that a thousand pods cost nothing."""

from pathlib import Path

import yaml

from tests.cluster.api import Api, Object
from tests.cluster.daemons import Daemon, answers, free_port, start
from tests.cluster.programs import EXTRAS, program
from tests.cluster.webhooks import documents

TAINT = {"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}
TOLERATION = {"key": "kwok.x-k8s.io/node", "operator": "Exists"}
SELECTOR = {"type": "kwok"}
_STAGES = ("node/fast", "node/heartbeat-with-lease", "pod/fast")


def stages(seconds: float) -> list[Object]:
    """kwok's own stages; pods of Jobs run for that long."""
    shipped = [
        one
        for folder in _STAGES
        for path in sorted((EXTRAS.built / "stages" / folder).glob("*.yaml"))
        if path.name != "kustomization.yaml"
        for one in documents(path)
    ]
    for stage in shipped:
        if stage["metadata"]["name"] == "pod-complete":
            stage["spec"]["delay"] = {"durationMilliseconds": int(seconds * 1000)}
    return shipped


def run(api: Api, folder: Path, logs: Path, seconds: float = 1) -> Daemon:
    """The program, ready."""
    folder.mkdir(parents=True)
    config, port = folder / "stages.yaml", free_port()
    config.write_text(yaml.safe_dump_all(stages(seconds)))
    command = (
        program("kwok"),
        f"--kubeconfig={api.kubeconfig}",
        f"--config={config}",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        "--node-lease-duration-seconds=40",
        f"--server-address=127.0.0.1:{port}",
    )
    daemon = start("kwok", command, logs)
    daemon.wait(answers(f"http://127.0.0.1:{port}/healthz"))
    return daemon


def add_node(api: Api, name: str, capacity: dict[str, str]) -> None:
    """A node that only pods with our selector and toleration are put on."""
    room = {"pods": "110"} | capacity
    node: Object = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": name, **SELECTOR},
        },
        "spec": {"taints": [TAINT]},
    }
    api.apply(node)
    status = {"apiVersion": "v1", "kind": "Node", "status": {"allocatable": room, "capacity": room}}
    api.call("PATCH", f"/api/v1/nodes/{name}/status", status, kind="application/merge-patch+json")
