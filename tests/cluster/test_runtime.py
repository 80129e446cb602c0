# pyright: basic
"""The controller's runtime against a real API server that goes away, breaks off, hangs, and forgets."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastgen_k8s.kube.connection import Connection, Refused
from fastgen_k8s.kube.reflector import Reflector
from tests.cluster.api import Api, Object, path_of
from tests.cluster.cluster import Cluster
from tests.cluster.custom import establish
from tests.cluster.local import Local
from tests.cluster.proxy import Proxy

pytestmark = pytest.mark.cluster

THINGS = "things.v1.runtime.test"
DEFINITIONS = "customresourcedefinitions.v1.apiextensions.k8s.io"
DEFINITION: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.runtime.test"},
    "spec": {
        "group": "runtime.test",
        "scope": "Namespaced",
        "names": {"kind": "Thing", "plural": "things"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
}


class Copy:
    """What a reflector holds and told of a kind, and a way to wait for it."""

    def __init__(self, connection: Connection, path: str) -> None:
        self.told: list[tuple[str, str]] = []
        self.changed = threading.Condition()
        self.reflector = Reflector(connection, path, self.tell, lambda found: {"metadata": found["metadata"]})

    def tell(self, before: Object | None, after: Object | None) -> None:
        what = "gone" if after is None else "new" if before is None else "changed"
        with self.changed:
            self.told.append(((after or before or {})["metadata"]["name"], what))
            self.changed.notify_all()

    def wait_for(self, *wanted: tuple[str, str]) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: all(one in self.told for one in wanted), timeout=60), self.told

    @property
    def versions(self) -> dict[str, str]:
        return {name: one["metadata"]["resourceVersion"] for (_, name), one in list(self.reflector.items.items())}


@contextmanager
def copying(connection: Connection, path: str) -> Generator[Copy]:
    """A reflector that has listed what there was, until it is not needed."""
    copy = Copy(connection, path)
    copy.reflector.start()
    try:
        assert copy.reflector.synced.wait(60)
        yield copy
    finally:
        copy.reflector.stop()
        copy.reflector.join()


@pytest.fixture
def namespace(api: Cluster) -> Iterator[str]:
    with api.namespace("runtime") as name:
        yield name


@pytest.fixture
def connection(front: Proxy, tmp_path: Path) -> Iterator[Connection]:
    made = front.connect(tmp_path)
    yield made
    made.close()


@pytest.fixture
def maps(namespace: str) -> str:
    """The path of the configuration maps that a test makes."""
    return path_of("configmaps", namespace)


def make(api: Api, namespace: str, name: str) -> None:
    api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}})


def watching(times: int) -> Callable[[list[tuple[str, str]]], bool]:
    return lambda asked: sum(verb == "WATCH" for verb, _ in asked) >= times


def status(code: int) -> Object:
    return {"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "code": code, "message": "injected"}}


@pytest.mark.parametrize("forgotten", [False, True], ids=["the server remembers", "the server forgot"])
def test_what_is_deleted_in_an_outage_is_told_once_afterwards(
    api: Cluster, front: Proxy, connection: Connection, namespace: str, maps: str, forgotten: bool
) -> None:
    for name in ("kept", "deleted"):
        make(api.api, namespace, name)
    with copying(connection, maps) as copy:
        with front.refusing():
            api.api.delete("configmaps", "deleted", namespace)
            if forgotten:
                front.inject(maps, status(410))
        copy.wait_for(("deleted", "gone"))
        assert copy.told.count(("deleted", "gone")) == 1
        assert copy.versions == versions(api.api, namespace)


def versions(api: Api, namespace: str) -> dict[str, str]:
    return {name: one["metadata"]["resourceVersion"] for name, one in api.list("configmaps", namespace).items()}


def test_a_watch_that_is_cut_again_and_again_loses_nothing(
    api: Cluster, front: Proxy, connection: Connection, namespace: str, maps: str
) -> None:
    with copying(connection, maps) as copy:
        for cuts in range(10):
            make(api.api, namespace, f"before-{cuts}")
            front.wait_for(watching(cuts + 1))
            make(api.api, namespace, f"during-{cuts}")
            front.cut()
            api.api.delete("configmaps", f"before-{cuts}", namespace)
        for cuts in range(10):
            copy.wait_for((f"before-{cuts}", "new"), (f"before-{cuts}", "gone"), (f"during-{cuts}", "new"))
        assert copy.versions == versions(api.api, namespace)


@pytest.mark.parametrize("code", [410, 500])
def test_after_an_error_in_a_stream_the_copy_goes_on(
    api: Cluster, front: Proxy, connection: Connection, namespace: str, maps: str, code: int
) -> None:
    with copying(connection, maps) as copy:
        front.wait_for(watching(1))
        front.inject(maps, status(code))
        front.cut()
        make(api.api, namespace, "later")
        copy.wait_for(("later", "new"))
        assert maps not in front.injected


def test_a_kind_is_empty_until_it_is_installed_and_after_it_is_removed(
    api: Cluster, connection: Connection, namespace: str
) -> None:
    with copying(connection, path_of(THINGS)) as copy:
        assert (copy.reflector.absent, copy.told) == (True, [])
        establish(api.api, [DEFINITION])
        api.api.create(
            {"apiVersion": "runtime.test/v1", "kind": "Thing", "metadata": {"name": "one", "namespace": namespace}}
        )
        copy.wait_for(("one", "new"))
        assert not copy.reflector.absent
        api.api.delete(DEFINITIONS, "things.runtime.test")
        copy.wait_for(("one", "gone"))


def test_an_outage_is_not_answered_by_a_storm_of_requests(front: Proxy, connection: Connection, maps: str) -> None:
    with copying(connection, maps):
        front.wait_for(watching(1))
        with front.refusing():
            begun, before = time.monotonic(), len(front.requests)
            front.wait_for(lambda asked: len(asked) >= before + 9)
            took = time.monotonic() - begun
    assert took >= (0.1 + 0.2 + 0.4 + 0.8 + 1.6 + 2 + 2 + 2) / 2  # a slow machine only takes longer


def test_after_a_restart_of_the_server_the_copy_goes_on(
    api: Cluster, machine: Local, namespace: str, maps: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig))
    make(api.api, namespace, "earlier")
    with copying(Connection(), maps) as copy:
        with machine.without_api():
            pass
        api.api.delete("configmaps", "earlier", namespace)
        make(api.api, namespace, "later")
        copy.wait_for(("earlier", "gone"), ("later", "new"))
        assert copy.versions == versions(api.api, namespace)


def test_what_is_asked_through_the_proxy_is_told_before_it_is_done_and_when_it_is(
    api: Cluster, front: Proxy, connection: Connection, namespace: str, maps: str
) -> None:
    told: list[tuple[str, int, str, str, bool]] = []

    def note(when: str) -> Callable[[int, str, str], None]:
        return lambda *request: told.append((when, *request, "asked" in api.api.list("configmaps", namespace)))

    front.on_request, front.on_answer = note("before"), note("after")
    connection.post(maps, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "asked"}})
    assert told == [("before", 1, "POST", maps, False), ("after", 1, "POST", maps, True)]


def test_a_copy_of_a_server_that_speaks_tls_can_be_stopped_while_nothing_happens(
    api: Cluster, maps: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig))
    with copying(Connection(), maps) as copy:
        make(api.api, maps.split("/")[-2], "heard")
        copy.wait_for(("heard", "new"))
        copy.reflector.stop()
        copy.reflector.join(60)
        assert not copy.reflector.is_alive()


def test_what_is_applied_is_written_once_and_what_is_deleted_is_the_one_that_was_meant(
    connection: Connection, maps: str
) -> None:
    wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"a": "1"}}
    first = connection.apply(f"{maps}/applied", wanted, field_manager="tests")
    again = connection.apply(f"{maps}/applied", wanted, field_manager="tests")
    assert first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]
    with pytest.raises(Refused, match="409"):
        connection.delete(f"{maps}/applied", uid="another")
    connection.delete(f"{maps}/applied", uid=first["metadata"]["uid"])
    assert connection.get(f"{maps}/applied") is None
