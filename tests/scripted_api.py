"""An API server that answers as a test says, over real HTTP."""

import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import pytest

from fastgen_k8s.kube.connection import Connection, Observe


class Asked(NamedTuple):
    """A request."""

    verb: str
    path: str
    query: dict[str, str]
    type: str
    body: Any

    @property
    def watches(self) -> bool:
        return "watch" in self.query


class Answer(NamedTuple):
    """What is answered: an object, or the events of a watch (bytes: as they are); a silent one stays open."""

    status: int = 200
    body: object = None
    events: tuple[object, ...] | None = None
    silent: bool = False


class Scripted:
    """What a test holds of the server: what it was asked, a way to wait for more, and a connection to it."""

    def __init__(self, answer: Callable[[Asked], Answer], folder: Path) -> None:
        self.asked: list[Asked] = []
        self.answer, self.folder = answer, folder
        self.changed, self.over = threading.Condition(), threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def connect(self, observe: Observe | None = None) -> Connection:
        """A connection by a kubeconfig that names this server."""
        file = self.folder / "kubeconfig"
        file.write_text(json.dumps(kubeconfig(self.url)))  # JSON is YAML
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KUBECONFIG", str(file))
            return Connection() if observe is None else Connection(observe=observe)

    def wait_for(self, enough: Callable[[list[Asked]], bool]) -> None:
        """Until what was asked so far is enough."""
        with self.changed:
            assert self.changed.wait_for(lambda: enough(self.asked), timeout=60), self.asked

    def count(self, asked: Asked) -> None:
        with self.changed:
            self.asked.append(asked)
            self.changed.notify_all()


@contextmanager
def scripted(answer: Callable[[Asked], Answer], folder: Path) -> Generator[Scripted]:
    """A server that answers so."""
    made = Scripted(answer, folder)
    serving = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    serving.start()
    try:
        yield made
    finally:
        made.over.set()
        made.server.shutdown()
        made.server.server_close()


def kubeconfig(server: str) -> dict[str, Any]:
    """How to reach a server that asks nobody who he is."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }


def _handler(scripted: Scripted) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.reply()

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

        def reply(self) -> None:
            parts = urlsplit(self.path)
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = json.loads(sent) if sent else None
            kind = self.headers.get("Content-Type", "")
            asked = Asked(self.command, parts.path, dict(parse_qsl(parts.query)), kind, body)
            answer = scripted.answer(asked)
            scripted.count(asked)
            self.send_response(answer.status)
            if answer.events is None:
                said = json.dumps(answer.body).encode()
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)
                return
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for event in answer.events:
                line = event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            if answer.silent:
                scripted.over.wait()
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a test reads `asked`."""

    return Handler
