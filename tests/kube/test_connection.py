"""What is sent to an API server, and how its answers and its silence come back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastgen_k8s.errors import BadInput
from fastgen_k8s.kube.connection import Connection, Refused, Unreachable, lines
from tests.scripted_api import Answer, Asked, kubeconfig, scripted

PATH = "/api/v1/namespaces/n/configmaps/a"
HERE: dict[str, Any] = {"metadata": {"name": "a"}}


JSON = "application/json"
CALLS: dict[str, tuple[Callable[[Connection], object], Asked]] = {
    "get": (lambda c: c.get(PATH, limit=5), Asked("GET", PATH, {"limit": "5"}, JSON, None)),
    "post": (lambda c: c.post(PATH, HERE, dryRun="All"), Asked("POST", PATH, {"dryRun": "All"}, JSON, HERE)),
    "put": (lambda c: c.put(PATH, HERE), Asked("PUT", PATH, {}, JSON, HERE)),
    "merge": (lambda c: c.merge(PATH, HERE), Asked("PATCH", PATH, {}, "application/merge-patch+json", HERE)),
    "apply": (
        lambda c: c.apply(PATH, HERE, field_manager="me"),
        Asked("PATCH", PATH, {"fieldManager": "me", "force": "true"}, "application/apply-patch+yaml", HERE),
    ),
    "delete": (lambda c: c.delete(PATH), Asked("DELETE", PATH, {}, JSON, {"propagationPolicy": "Background"})),
    "delete by uid": (
        lambda c: c.delete(PATH, uid="7"),
        Asked("DELETE", PATH, {}, JSON, {"propagationPolicy": "Background", "preconditions": {"uid": "7"}}),
    ),
}


@pytest.mark.parametrize(("call", "asked"), CALLS.values(), ids=CALLS)
def test_a_request_says_what_is_meant(call: Callable[[Connection], object], asked: Asked, tmp_path: Path) -> None:
    with scripted(lambda _: Answer(body=HERE), tmp_path) as server:
        call(server.connect())
        assert server.asked == [asked]


def test_what_is_absent_is_none_to_read_and_fine_to_delete(tmp_path: Path) -> None:
    with scripted(lambda _: Answer(404, {"message": "not found"}), tmp_path) as server:
        connection = server.connect()
        connection.delete(PATH)
        assert connection.get(PATH) is None


@pytest.mark.parametrize("status", [400, 403, 409, 429, 500, 503])
def test_a_refusal_has_the_status_and_what_the_server_said_and_is_not_repeated(status: int, tmp_path: Path) -> None:
    with scripted(lambda _: Answer(status, {"message": "because " + "x" * 1000}), tmp_path) as server:
        with pytest.raises(Refused) as refused:
            server.connect().get(PATH)
        assert (refused.value.status, refused.value.message) == (status, "because " + "x" * 392)
        assert len(server.asked) == 1


def test_each_request_is_told_with_what_it_came_to(tmp_path: Path) -> None:
    answers = iter([Answer(body=HERE), Answer(404, {"message": "no"}), Answer(409, {"message": "no"})])
    told: list[tuple[str, int | None]] = []
    with scripted(lambda _: next(answers), tmp_path) as server:
        connection = server.connect(lambda verb, status: told.append((verb, status)))
        connection.get(PATH)
        connection.delete(PATH)
        with pytest.raises(Refused):
            connection.put(PATH, HERE)
    with pytest.raises(Unreachable):
        connection.get(PATH)
    assert told == [("GET", 200), ("DELETE", 404), ("PUT", 409), ("GET", None)]


def test_an_absent_collection_refuses_what_is_put_into_it(tmp_path: Path) -> None:
    with scripted(lambda _: Answer(404, {"message": "no"}), tmp_path) as server, pytest.raises(Refused, match="404"):
        server.connect().post(PATH, HERE)


def test_an_answer_that_does_not_come_in_time_is_unreachable(tmp_path: Path) -> None:
    with (
        scripted(lambda _: Answer(events=(), silent=True), tmp_path) as server,
        pytest.raises(Unreachable, match="timed out"),
    ):
        server.connect().get(PATH, timeout=0.1)


def test_a_server_that_nobody_listens_for_is_unreachable(tmp_path: Path) -> None:
    with scripted(lambda _: Answer(), tmp_path) as server:
        connection = server.connect()
    with pytest.raises(Unreachable):
        connection.get(PATH)


def test_a_stream_that_is_cut_is_unreachable(tmp_path: Path) -> None:
    with scripted(lambda _: Answer(events=({"type": "ADDED"},), silent=True), tmp_path) as server:
        stream = lines(server.connect().request("GET", PATH, timeout=(5, 0.1), stream=True, watch="1"))
        assert next(stream) == b'{"type": "ADDED"}'
        with pytest.raises(Unreachable):
            next(stream)


def test_the_server_tells_the_time(tmp_path: Path) -> None:
    with scripted(lambda _: Answer(body=HERE), tmp_path) as server:
        connection = server.connect()
        connection.get(PATH)
    assert connection.clock.now() > 1.7e9


def test_a_home_without_a_cluster_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(BadInput, match=r"wanted a cluster in KUBECONFIG or ~/.kube/config, found none"):
        Connection()
    assert capsys.readouterr().out == ""


def test_the_cluster_of_a_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(str(kubeconfig("http://127.0.0.1:9")))
    assert Connection().server == "http://127.0.0.1:9"
