"""What a test holds of a cluster: ways to ask it, to wait for it, and to break it."""

import json
import os
import re
import shutil
import signal
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubernetes import client

from tests.cluster import pods
from tests.cluster.api import Api, Object, Refused, State, path_of
from tests.cluster.daemons import run
from tests.cluster.failures import ClusterFailed
from tests.cluster.node import Node
from tests.cluster.programs import program

_RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
_OUT_OF_SERVICE = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
_CHANGED_MEANWHILE = 409
_SOON = 0.1  # seconds: a log that is refused because its container is just being made


@dataclass
class Cluster:
    """A Kubernetes cluster: ours, or one that the person who runs the tests named."""

    kubeconfig: Path
    api: Api
    machines: dict[str, Node] = field(default_factory=dict)  # the nodes that are ours to break

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes that there are now."""
        return tuple(sorted(self.api.list("nodes")))

    def client(self) -> client.ApiClient:
        """The official client, connected."""
        return self.api.client

    def kubectl(self, *arguments: str, stdin: Object | None = None) -> Object:
        """Run kubectl for an answer in JSON."""
        return json.loads(self.kubectl_text(*arguments, "-o", "json", stdin=stdin))

    def kubectl_text(self, *arguments: str, stdin: Object | None = None) -> str:
        """Run kubectl; what it prints."""
        said = None if stdin is None else json.dumps(stdin)
        return run(*self.kubectl_command, *arguments, stdin=said)

    @property
    def kubectl_command(self) -> tuple[str | Path, str]:
        """How kubectl is called for this cluster."""
        built = program("kubectl")
        return built if built.exists() else Path(
            shutil.which("kubectl") or "kubectl"
        ), f"--kubeconfig={self.kubeconfig}"

    @contextmanager
    def namespace(self, prefix: str) -> Generator[str]:
        """A namespace that enforces `restricted`, with its service account; deleted at the end.

        Its name is new each time: one that is just being deleted takes nothing in.
        """
        name = f"{prefix}-{uuid.uuid4().hex[:12]}"
        self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": _RESTRICTED}})
        place = {"name": "default", "namespace": name}
        self.api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": place})
        try:
            yield name
        finally:
            self.api.delete("namespaces", name)

    def watch_until(
        self,
        resource: str,
        done: Callable[[State], bool],
        namespace: str | None = None,
        *,
        name: str | None = None,
        selector: str = "",
        timeout: float = 60,
    ) -> State:
        """Wait until the objects of a kind, by name, satisfy `done`; see `Api.watch_until`."""
        return self.api.watch_until(resource, done, namespace, name=name, selector=selector, timeout=timeout)

    def wait_for(
        self,
        resource: str,
        name: str,
        done: Callable[[Object], bool],
        namespace: str | None = None,
        timeout: float = 60,
    ) -> Object:
        """Wait until one object is there and satisfies `done`."""

        def there(found: State) -> bool:
            return name in found and done(found[name])

        return self.watch_until(resource, there, namespace, name=name, timeout=timeout)[name]

    def wait_gone(self, resource: str, name: str, namespace: str | None = None, timeout: float = 60) -> None:
        """Wait until an object is not there."""
        self.watch_until(resource, lambda found: name not in found, namespace, name=name, timeout=timeout)

    def delete_wholly(self, resource: str, name: str, namespace: str) -> None:
        """Delete an object after all that it owns, and wait until it is gone."""
        self.api.delete(resource, name, namespace, propagationPolicy="Foreground")
        self.wait_gone(resource, name, namespace)

    def logs(self, pod: str, namespace: str, container: str | None = None) -> str:
        """What a container has said so far."""
        path = path_of("pods", namespace, pod) + "/log"
        return self.api.request("GET", path, **_of(container)).data.decode(errors="replace")

    def wait_for_line(
        self, pod: str, pattern: str, namespace: str, *, container: str | None = None, timeout: float = 60
    ) -> re.Match[str]:
        """Follow a container's log until a line matches; the pod may still have to be made or started."""
        end = time.monotonic() + timeout
        last = ""
        while (left := end - time.monotonic()) > 0:
            seen = self.wait_for("pods", pod, lambda one: pods.phase(one) not in {"", "Pending"}, namespace, left)
            for line in self._follow(pod, namespace, container, end):
                if match := re.search(pattern, line):
                    return match
                last = line
            if pods.phase(seen) in pods.OVER:
                break
            time.sleep(_SOON)
        raise ClusterFailed(f"pod {namespace}/{pod}: wanted a line like {pattern!r}, found at last {last!r}")

    def _follow(self, pod: str, namespace: str, container: str | None, end: float) -> Iterator[str]:
        """The lines of a log as they come, from its beginning; none while the container is not there yet."""
        path = path_of("pods", namespace, pod) + "/log"
        left = max(0.1, end - time.monotonic())
        try:
            for line in self.api.lines(path, left, follow="true", **_of(container)):
                yield line.decode(errors="replace").rstrip("\n")
                if time.monotonic() > end:
                    return
        except Refused as refusal:
            if refusal.status not in {400, 404}:
                raise

    def execute(self, pod: str, namespace: str, *command: str) -> str:
        """Run a command in a pod; its output."""
        return self.kubectl_text("exec", "-n", namespace, pod, "--", *command)

    def node(self, name: str) -> Node:
        """A node that is ours to break."""
        if name not in self.machines:
            raise ClusterFailed(f"node {name}: wanted one of this machine's, found {sorted(self.machines) or 'none'}")
        return self.machines[name]

    def pids_of(self, pod: str, namespace: str, container: str | None = None) -> tuple[pods.PodProcess, ...]:
        """The processes of a container, found by its control group."""
        seen = self.api.get("pods", pod, namespace)
        found = pods.container_id(seen, container)
        if found is None:
            raise ClusterFailed(f"pod {namespace}/{pod}: wanted a running container, found {pods.phase(seen)}")
        return self.node(seen["spec"]["nodeName"]).processes(seen["metadata"]["uid"], found)

    def kill_agent(self, pod: str, namespace: str) -> None:
        """kill -9 of the first process of a pod."""
        self._kill(pod, namespace, lambda process: process.inner == 1)

    def kill_worker(self, pod: str, namespace: str, *words: str) -> None:
        """kill -9 of a process of a pod that is not its first and whose command line has these words."""
        self._kill(pod, namespace, lambda process: process.inner != 1 and process.runs(words))

    def _kill(self, pod: str, namespace: str, chosen: Callable[[pods.PodProcess], bool]) -> None:
        there = self.pids_of(pod, namespace)
        victim = next((process for process in there if chosen(process)), None)
        if victim is None:
            said = [" ".join(process.command) for process in there]
            raise ClusterFailed(f"pod {namespace}/{pod}: wanted a process to kill, found {said}")
        os.kill(victim.pid, signal.SIGKILL)

    def delete_pod(self, pod: str, namespace: str, *, force: bool = False) -> None:
        """Delete a pod: it is asked to end and has its grace; by force it is forgotten at once."""
        self.api.delete("pods", pod, namespace, **({"gracePeriodSeconds": 0} if force else {}))

    def power_off(self, name: str, *, timeout: float = 60) -> None:
        """A node loses its power; when the control plane has seen it, the taint says that it will not come back.

        On a real cluster the cloud's node controller, or a person, puts that taint on (or deletes the node).
        """
        self.node(name).power_off()
        self.wait_for("nodes", name, lambda node: not pods.is_ready(node), timeout=timeout)
        self._taint(name, [_OUT_OF_SERVICE])

    def power_on(self, name: str, *, timeout: float = 60) -> None:
        """The node comes back, empty, and may be used again: also the controllers have seen it and evict nobody."""
        self.node(name).power_on()
        self.wait_for("nodes", name, pods.is_ready, timeout=timeout)
        self._taint(name, [])
        self.wait_for("nodes", name, lambda node: not _evicts(node), timeout=timeout)

    def cordon(self, name: str) -> None:
        """Let no new pod be put on a node."""
        self.api.merge("nodes", name, {"spec": {"unschedulable": True}})

    def uncordon(self, name: str) -> None:
        """Let new pods be put on a node again."""
        self.api.merge("nodes", name, {"spec": {"unschedulable": False}})

    def _taint(self, name: str, ours: list[Object]) -> None:
        """Set our taint or take it off; the controllers' own taints stay."""
        while True:
            found = self.api.get("nodes", name)
            others = [taint for taint in found["spec"].get("taints", []) if taint["key"] != _OUT_OF_SERVICE["key"]]
            read = {"resourceVersion": found["metadata"]["resourceVersion"]}
            try:
                self.api.merge("nodes", name, {"metadata": read, "spec": {"taints": others + ours}})
                return
            except Refused as refusal:
                if refusal.status != _CHANGED_MEANWHILE:
                    raise


def _evicts(node: Object) -> bool:
    """Whether a taint drives pods away from a node."""
    return any(taint["effect"] == "NoExecute" for taint in node["spec"].get("taints", []))


def _of(container: str | None) -> dict[str, Any]:
    return {"container": container} if container else {}
