# pyright: basic
"""The Kubernetes API as plain dictionaries: read, write, and wait for things to happen by watching them."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import urllib3
from kubernetes import client, config

from tests.cluster.failures import ClusterFailed

Object: TypeAlias = dict[str, Any]
State: TypeAlias = Mapping[str, Object]
"""The objects of one kind that there are now, by name."""

_TRIES = 20  # of a request that a server puts off: the first list of a new CRD says 429 until its storage is there
_GONE = 410


class Refused(ClusterFailed):
    """The API server said no."""

    def __init__(self, verb: str, path: str, status: int, body: bytes) -> None:
        self.status = status
        try:
            said = json.loads(body).get("message", "")
        except ValueError:
            said = body.decode(errors="replace")
        super().__init__(f"{verb} {path}: wanted 2xx, found {status} ({said})")


def path_of(resource: str, namespace: str | None = None, name: str | None = None) -> str:
    """The path of `pods`, or of RESOURCE.VERSION.GROUP as kubectl spells it: `jobs.v1.batch`."""
    plural, _, rest = resource.partition(".")
    version, _, group = rest.partition(".")
    parts = ["/apis", group, version] if group else ["/api", version or "v1"]
    parts += ["namespaces", namespace] if namespace else []
    return "/".join([*parts, plural, *([name] if name else [])])


@dataclass(frozen=True)
class Api:
    """A connection to an API server by a kubeconfig."""

    kubeconfig: Path
    client: client.ApiClient
    kinds: dict[tuple[str, str], tuple[str, bool]] = field(default_factory=dict)

    @classmethod
    def connect(cls, kubeconfig: Path) -> "Api":
        settings = client.Configuration()
        config.load_kube_config(str(kubeconfig), client_configuration=settings, persist_config=False)
        settings.connection_pool_maxsize = 32  # one a follower of a log
        settings.retries = False  # pyright: ignore[reportAttributeAccessIssue]
        return cls(kubeconfig, client.ApiClient(settings))

    def request(
        self, verb: str, path: str, body: Any = None, kind: str = "application/json", timeout: float = 30, **query: Any
    ) -> urllib3.BaseHTTPResponse:
        """One request; an answer that puts it off is waited for."""
        headers = {"Accept": "application/json", "Content-Type": kind}
        asked = list(query.items())
        for _ in range(_TRIES):
            call = self.client.param_serialize(
                verb, path, query_params=asked, header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            reply = self.client.call_api(*call, _request_timeout=timeout).response
            if reply.status < 300:
                return reply
            said, again = reply.data, float(reply.headers.get("Retry-After", 0))
            if not (reply.status == 429 and again):
                break
            time.sleep(again)
        raise Refused(verb, path, reply.status, said)

    def call(self, verb: str, path: str, body: Any = None, **more: Any) -> Object:
        """One request and the object that it answers with."""
        return json.loads(self.request(verb, path, body, **more).data)

    def get(self, resource: str, name: str, namespace: str | None = None) -> Object:
        return self.call("GET", path_of(resource, namespace, name))

    def list(self, resource: str, namespace: str | None = None, selector: str = "") -> dict[str, Object]:
        """What there is, by name."""
        found = self.call("GET", path_of(resource, namespace), labelSelector=selector)
        return {item["metadata"]["name"]: item for item in found["items"]}

    def create(self, made: Object, **query: Any) -> Object:
        return self.call("POST", self._place(made), made, **query)

    def apply(self, made: Object, owner: str = "tests", **query: Any) -> Object:
        """Server-side apply: create it or bring it to this shape."""
        path = f"{self._place(made)}/{made['metadata']['name']}"
        more = {"fieldManager": owner, "force": "true"} | query
        return self.call("PATCH", path, made, kind="application/apply-patch+yaml", **more)

    def merge(self, resource: str, name: str, change: Object, namespace: str | None = None) -> Object:
        """A merge patch."""
        return self.call("PATCH", path_of(resource, namespace, name), change, kind="application/merge-patch+json")

    def delete(self, resource: str, name: str, namespace: str | None = None, **query: Any) -> None:
        self.call("DELETE", path_of(resource, namespace, name), **query)

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
        """List, then watch, until what there is satisfies `done`; asked again after each event."""
        path, end = path_of(resource, namespace), time.monotonic() + timeout
        chosen = {"labelSelector": selector, "fieldSelector": f"metadata.name={name}" if name else ""}
        while True:
            listed = self.call("GET", path, **chosen)
            state = {item["metadata"]["name"]: item for item in listed["items"]}
            if done(state):
                return state
            for event in self._events(path, listed["metadata"]["resourceVersion"], end, chosen):
                item = event["object"]
                if event["type"] == "DELETED":
                    state.pop(item["metadata"]["name"], None)
                else:
                    state[item["metadata"]["name"]] = item
                if done(state):
                    return state
            if time.monotonic() >= end:
                said = {key: item.get("status", {}) for key, item in state.items()}
                raise ClusterFailed(f"{path}: wanted a state within {timeout:.0f} s, found {json.dumps(said)}")

    def _events(self, path: str, version: str, end: float, chosen: Mapping[str, str]) -> Iterator[Object]:
        """The events since a version, until the time is over or the server has forgotten the version."""
        seconds = max(1, int(end - time.monotonic() + 1))
        more = {"watch": "true", "resourceVersion": version, "timeoutSeconds": seconds, **chosen}
        for line in self.lines(path, seconds + 5, **more):
            event = json.loads(line)
            if event["type"] == "ERROR":
                if event["object"].get("code") == _GONE:
                    return
                raise ClusterFailed(f"watch of {path}: {event['object'].get('message')}")
            yield event

    def ready(self) -> bool:
        """Whether the server answers, and says that it is ready."""
        try:
            return self.request("GET", "/readyz", timeout=2).status == 200
        except (Refused, urllib3.exceptions.HTTPError):
            return False

    def lines(self, path: str, timeout: float, **query: Any) -> Iterator[bytes]:
        """A reply line by line, as it comes."""
        reply = self.request("GET", path, timeout=timeout, **query)
        try:
            yield from reply  # pyright: ignore[reportReturnType]
        except urllib3.exceptions.ReadTimeoutError:
            return
        finally:
            reply.close()
            reply.release_conn()

    def knows(self, version: str, kind: str) -> bool:
        """Whether the server's discovery names a kind, by its group and version."""
        if (version, kind) not in self.kinds:
            root = f"/apis/{version}" if "/" in version else f"/api/{version}"
            for found in self.call("GET", root)["resources"]:
                if "/" not in found["name"]:
                    self.kinds[version, found["kind"]] = found["name"], found["namespaced"]
        return (version, kind) in self.kinds

    def _place(self, made: Object) -> str:
        """The path of the collection that an object belongs to, as the server's discovery says."""
        version, kind = made["apiVersion"], made["kind"]
        if not self.knows(version, kind):
            raise ClusterFailed(f"{version} {kind}: wanted a kind that the API server knows, found none")
        plural, namespaced = self.kinds[version, kind]
        group, _, short = version.rpartition("/")
        resource = f"{plural}.{short}.{group}" if group else plural
        return path_of(resource, made["metadata"].get("namespace", "default") if namespaced else None)
