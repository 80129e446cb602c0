"""A cluster learns over HTTP what is wrong with the controller, line by line."""

import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry, Counter

from fastgen_k8s.kube.endpoints import Endpoints


@contextmanager
def serving(
    live: list[str] | None = None, ready: list[str] | None = None, host: str = "127.0.0.1"
) -> Generator[Callable[..., tuple[int, str]]]:
    """The endpoints of a controller that finds this wrong; a way to ask for a path."""
    registry = CollectorRegistry()
    Counter("looks", "Looks at an object.", registry=registry).inc(3)
    endpoints = Endpoints(0, lambda: live or [], lambda: ready or [], host=host, registry=registry)

    def ask(path: str, address: str = "127.0.0.1") -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{address}:{endpoints.port}{path}", timeout=60) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read().decode()

    try:
        yield ask
    finally:
        endpoints.close()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/readyz?verbose"])
def test_with_nothing_wrong_it_is_fine(path: str) -> None:
    with serving() as ask:
        assert ask(path) == (200, "ok\n")


def test_what_is_wrong_is_said_line_by_line() -> None:
    with serving(ready=["pods: not synced", "jobs: not synced"]) as ask:
        assert ask("/readyz") == (503, "pods: not synced\njobs: not synced\n")


def test_what_is_not_ready_yet_may_live() -> None:
    with serving(ready=["pods: not synced"]) as ask:
        assert ask("/healthz") == (200, "ok\n")


def test_what_does_not_live_is_said_as_well() -> None:
    with serving(live=["the reflector of pods is dead"]) as ask:
        assert ask("/healthz") == (503, "the reflector of pods is dead\n")


def test_what_is_counted_can_be_read() -> None:
    with serving() as ask:
        assert "looks_total 3.0" in ask("/metrics")[1].splitlines()


def test_another_path_is_told_what_there_is() -> None:
    with serving() as ask:
        assert ask("/") == (404, "wanted one of /metrics, /healthz, /readyz, found /\n")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
def test_without_a_host_it_answers_at_addresses_of_both_kinds(address: str) -> None:
    with serving(host="") as ask:
        assert ask("/healthz", address) == (200, "ok\n")


def test_closed_it_answers_nobody() -> None:
    with serving() as ask:
        pass
    with pytest.raises(urllib.error.URLError):
        ask("/healthz")
