"""A proxy on loopback that does to requests what networks and busy stores do: by a seed, so that a run can be repeated.

What happens to a request depends on the seed, its method, its path and how often that was asked, not on the order in
which threads ask. Bytes are changed in the data of objects only: S3 gives its listings no checksum, and TLS protects
them.
"""

import contextlib
import http.client
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit

NONE = "none"
REFUSALS = {"expired": (400, "ExpiredToken"), "denied": (403, "AccessDenied"), "broken": (501, "NotImplemented")}
"""Answers that are no use asking again for."""
FAULTS = (
    "error",
    "error after the work",
    "slow down",
    "refused",
    "lost answer",
    "reset",
    "truncated",
    "slow",
    "wrong answer",
    "wrong request",
)
_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"}
_DRAWN = re.compile(r"[0-9a-f]{8,}|uploadId=[^&]*")  # parts of a path that are another in each run
_SLOWLY = 0.2  # seconds


class Answer(NamedTuple):
    """What the real server said."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Faults:
    """Which fault a request meets, and what was met so far."""

    def __init__(self, seed: int, rate: float, only: tuple[str, ...] = FAULTS) -> None:
        self.seed, self.rate, self.only = seed, rate, only
        self.met: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()  # requests by method
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()

    def next(self, method: str, path: str) -> tuple[str, random.Random]:
        """The fault of this request."""
        with self._lock:
            what = f"{method} {_DRAWN.sub('', path)}"
            self._asked[what] += 1
            chance = random.Random(f"{self.seed} {what} {self._asked[what]}")
            fault = chance.choice(self.only) if chance.random() < self.rate else NONE
            self.met[fault] += 1
            self.asked[method] += 1
            return fault, chance


@contextmanager
def proxy(endpoint: str, faults: Faults) -> Generator[str]:
    """The address of a proxy before an S3 server, until the block ends."""

    class Handler(_Handler):
        target, plan = endpoint, faults

    with _serving(Handler) as address:
        yield address


@contextmanager
def refusing_checksums(endpoint: str, status: int, code: str) -> Generator[tuple[str, Counter[str]]]:
    """The address of a server that stores what an S3 server does but knows no header of checksums; what it refused."""
    refused = Counter[str]()

    class Handler(_Handler):
        target, plan = endpoint, Faults(0, 0.0)

        def _serve(self) -> None:
            if any("checksum" in name.lower() or name.lower() == "x-amz-trailer" for name in self.headers):
                self._body()
                refused[self.command] += 1
                self._refuse(status, code)
            else:
                super()._serve()

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

    with _serving(Handler) as address:
        yield address, refused


@contextmanager
def _serving(handler: type["_Handler"]) -> Generator[str]:
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    target: str
    plan: Faults

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        body = self._body()
        fault, chance = self.plan.next(self.command, self.path)
        match fault:
            case "error":
                self._refuse(500, "InternalError")
            case "slow down":
                self._refuse(503, "SlowDown")
            case "expired" | "denied" | "broken":
                self._refuse(*REFUSALS[fault])
            case "refused":
                self._cut()
            case "lost answer":
                self._ask(body)
                self._cut()
            case "error after the work":
                self._ask(body)
                self._refuse(500, "InternalError")
            case "wrong request" if self.command == "PUT" and body:
                self._tell(self._ask(_changed(body, chance)))
            case "wrong answer":
                self._tell(_lied(self._ask(body), chance))
            case "slow":
                self._tell(self._ask(body), pause=_SLOWLY)
            case "reset" | "truncated":
                self._tell_half(self._ask(body), reset=fault == "reset")
            case _:
                self._tell(self._ask(body))

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

    def _body(self) -> bytes:
        if "100-continue" in self.headers.get("Expect", ""):
            self.send_response_only(100)
            self.end_headers()
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            return b"".join(self._chunks())
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _chunks(self) -> Generator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _ask(self, body: bytes) -> Answer:
        where = urlsplit(self.target)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP | {"expect"}}
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            headers["Content-Length"] = str(len(body))
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP]
            return Answer(answer.status, kept, answer.read())

    def _tell(self, answer: Answer, pause: float = 0.0) -> None:
        self._head(answer)
        half = len(answer.body) // 2
        self.wfile.write(answer.body[:half])
        time.sleep(pause)
        self.wfile.write(answer.body[half:])

    def _tell_half(self, answer: Answer, *, reset: bool) -> None:
        self._head(answer)
        self.wfile.write(answer.body[: len(answer.body) // 2])
        self.wfile.flush()
        self._cut(reset=reset)

    def _head(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            if name.lower() != "content-length":
                self.send_header(name, value)
        length = {name.lower(): value for name, value in answer.headers}.get("content-length")
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(answer.body)))
        self.end_headers()

    def _refuse(self, status: int, code: str) -> None:
        said = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>a fault</Message></Error>".encode()
        self._tell(Answer(status, [("Content-Type", "application/xml")], b"" if self.command == "HEAD" else said))

    def _cut(self, *, reset: bool = True) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _lied(answer: Answer, chance: random.Random) -> Answer:
    """Another byte in an object's data."""
    kind = {name.lower(): value for name, value in answer.headers}.get("content-type", "")
    if answer.status not in (200, 206) or not answer.body or "xml" in kind:
        return answer
    return answer._replace(body=_changed(answer.body, chance))


def _changed(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << chance.randrange(8))]) + data[place + 1 :]
