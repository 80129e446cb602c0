"""What a cluster asks of the controller over HTTP: does it live, is it ready, what does it count."""

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest

_TEXT = "text/plain; charset=utf-8"
_POLL = 0.1  # seconds until it notices that it is closed

Check = Callable[[], list[str]]
"""What is wrong, a line each."""


class Endpoints:
    """Serves /healthz, /readyz and /metrics until closed."""

    def __init__(
        self, port: int, live: Check, ready: Check, *, host: str = "", registry: CollectorRegistry = REGISTRY
    ) -> None:
        checks = {"/healthz": live, "/readyz": ready}

        def answer(path: str) -> tuple[int, str, bytes]:
            if path == "/metrics":
                return 200, CONTENT_TYPE_LATEST, generate_latest(registry)
            if path not in checks:
                return 404, _TEXT, f"wanted one of /metrics, {', '.join(checks)}, found {path}\n".encode()
            wrong = checks[path]()
            return 503 if wrong else 200, _TEXT, "".join(f"{line}\n" for line in wrong or ["ok"]).encode()

        listening = _listen(host, port)
        self.port: int = listening.getsockname()[1]
        self._server = _Server(listening, _handler(answer))
        self._thread = threading.Thread(target=self._server.serve_forever, args=[_POLL], daemon=True, name="endpoints")
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    """A server on a socket that listens already: the class's own way asks DNS for the name of this machine."""

    daemon_threads = True

    def __init__(self, listening: socket.socket, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(listening.getsockname()[:2], handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening


def _listen(host: str, port: int) -> socket.socket:
    """Listen at a host, or at all addresses: a pod may have one of IPv4, one of IPv6, or both."""
    if host or not socket.has_dualstack_ipv6():
        return socket.create_server((host, port))
    return socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=True)


def _handler(answer: Callable[[str], tuple[int, str, bytes]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds for somebody who connects and says nothing

        def do_GET(self) -> None:
            status, kind, body = answer(self.path.partition("?")[0])
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: probes come all the time."""

    return Handler
