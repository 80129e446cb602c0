# pyright: basic
"""A plain HTTP front of an API server: it counts what is asked, and fails as networks and servers do."""

import json
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3

from fastgen_k8s.kube.connection import Connection
from tests.cluster.api import Api, Object
from tests.scripted_api import kubeconfig

Hook = Callable[[int, str, str], None]

_OF_A_HOP = {"host", "connection", "content-length", "transfer-encoding", "date", "server"}
_BROKEN = (OSError, ValueError, RuntimeError, urllib3.exceptions.HTTPError)  # what a connection that is cut says


def _nothing(_number: int, _verb: str, _path: str) -> None:
    """A hook that does nothing."""


class Proxy:
    """Passes on every request, with the rights of the connection that it was made of.

    A verb is HTTP's, or WATCH for a GET that watches. The first request has number 1. A hook that raises
    ConnectionError breaks the connection there.
    """

    def __init__(self, upstream: Api) -> None:
        self.requests: list[tuple[str, str]] = []
        self.on_request: Hook = _nothing  # before a request is passed on
        self.on_answer: Hook = _nothing  # when it is done, before the answer is passed on
        self.counted = threading.Condition()
        self.flows = threading.Event()
        self.flows.set()
        self.refuses = False
        self.injected: dict[str, Object] = {}
        self.open: dict[BaseHTTPRequestHandler, urllib3.BaseHTTPResponse | None] = {}
        self.upstream = Api.connect(upstream.kubeconfig).client
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def kubeconfig(self, folder: Path) -> Path:
        """A file by which a program finds this server."""
        file = folder / f"proxy-{self._server.server_port}.kubeconfig"
        file.write_text(json.dumps(kubeconfig(self.url)))  # JSON is YAML
        return file

    def connect(self, folder: Path) -> Connection:
        """A connection of the controller's kind."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KUBECONFIG", str(self.kubeconfig(folder)))
            return Connection()

    def wait_for(self, enough: Callable[[list[tuple[str, str]]], bool]) -> None:
        """Until what was asked so far is enough."""
        with self.counted:
            assert self.counted.wait_for(lambda: enough(self.requests), timeout=60), self.requests

    def cut(self) -> None:
        """Break all connections that there are."""
        with self.counted:
            broken = list(self.open.items())
        for handler, response in broken:
            with suppress(OSError):
                handler.connection.shutdown(socket.SHUT_RDWR)
            if response is not None:
                with suppress(*_BROKEN):
                    response.shutdown()

    @contextmanager
    def refusing(self) -> Generator[None]:
        """An outage that shows at once: connections break, new ones are counted and get no answer."""
        self.refuses = True
        self.cut()
        try:
            yield
        finally:
            self.refuses = False

    @contextmanager
    def hanging(self) -> Generator[None]:
        """An outage that does not show: nothing is passed on; what was asked is done afterwards, however late."""
        self.flows.clear()
        try:
            yield
        finally:
            self.flows.set()

    def inject(self, path: str, event: Object) -> None:
        """Answer the next watch of a path with one event and the end of the stream."""
        self.injected[path] = event

    def close(self) -> None:
        """End it and all that goes through it."""
        self.refuses = True
        self._server.shutdown()
        self._thread.join()
        self.cut()
        self.flows.set()
        self._server.server_close()
        self.upstream.close()

    def count(self, verb: str, path: str) -> int:
        """Note a request; its number."""
        with self.counted:
            self.requests.append((verb, path))
            self.counted.notify_all()
            return len(self.requests)

    def ask(self, verb: str, target: str, body: bytes, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        """The API server's answer, of which nothing but the head has been read."""
        pool, server = self.upstream.rest_client.pool_manager, self.upstream.configuration.host
        return pool.request(verb, f"{server}{target}", body=body, headers=headers, preload_content=False)


@contextmanager
def proxy(upstream: Api) -> Generator[Proxy]:
    """A proxy for as long as it is needed."""
    made = Proxy(upstream)
    try:
        yield made
    finally:
        made.close()


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            with proxy.counted:
                proxy.open[self] = None
            try:
                super().handle_one_request()
            except _BROKEN:
                self.close_connection = True
            finally:
                with proxy.counted:
                    del proxy.open[self]

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = urlsplit(self.path)
            verb = "WATCH" if "watch" in parse_qs(parts.query) else self.command
            number = proxy.count(verb, parts.path)
            proxy.on_request(number, verb, parts.path)
            proxy.flows.wait()
            if proxy.refuses:
                self.close_connection = True
            elif verb == "WATCH" and parts.path in proxy.injected:
                self.head(200, {"Content-Type": "application/json"})
                self.piece(json.dumps(proxy.injected.pop(parts.path)).encode() + b"\n")
                self.piece(b"")
            else:
                headers = {name: value for name, value in self.headers.items() if name.lower() not in _OF_A_HOP}
                answer = proxy.ask(self.command, self.path, body, headers)
                proxy.on_answer(number, verb, parts.path)
                self.pass_on(answer)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

        def pass_on(self, answer: urllib3.BaseHTTPResponse) -> None:
            """Send an answer as it comes; one that breaks off does so here too."""
            with proxy.counted:
                proxy.open[self] = answer
            try:
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in _OF_A_HOP}
                self.head(answer.status, kept)
                for piece in answer.stream(2**16, decode_content=False):
                    self.piece(piece)
                self.piece(b"")
            finally:
                answer.close()

        def head(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Transfer-Encoding": "chunked"}.items():
                self.send_header(name, value)
            self.end_headers()

        def piece(self, data: bytes) -> None:
            proxy.flows.wait()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a test reads `requests`."""

    return Handler
