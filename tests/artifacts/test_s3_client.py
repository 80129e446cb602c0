"""One connection to the store that the environment names, and none left open to one that it named before."""

import gc
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.artifacts.incoming import Incoming
from fastgen_k8s.artifacts.manifest import TooLarge
from fastgen_k8s.artifacts.s3_client import client

_LENGTH = 1 << 10  # bytes


class Patient(BaseHTTPRequestHandler):
    """Keeps a connection for as long as its client does."""

    protocol_version = "HTTP/1.1"
    left = threading.Event()

    def do_HEAD(self) -> None:
        """There is whatever is asked for."""
        self.send_response_only(200)
        self.send_header("Content-Length", str(_LENGTH))
        self.end_headers()

    def do_GET(self) -> None:
        """The first half, and then no end."""
        self.do_HEAD()
        self.wfile.write(bytes(_LENGTH // 2))

    def handle(self) -> None:
        """A client that closes before it has read all resets the connection."""
        with suppress(ConnectionResetError):
            super().handle()

    def finish(self) -> None:
        """The client has closed."""
        super().finish()
        self.left.set()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Generator[type[Patient]]:
    """A store that the environment names."""
    kind: type[Patient] = request.param
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    kind.left.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as serving:
        threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.02}).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{serving.server_address[1]}")
        yield kind
        serving.shutdown()


@pytest.mark.parametrize("server", [Patient], indirect=True)
def test_a_store_that_is_not_named_any_more_has_no_connection_left(
    server: type[Patient], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = client()
    before.head_bucket(Bucket="bucket")
    assert client() is before
    assert not server.left.is_set()
    monkeypatch.setenv("AWS_REGION", "elsewhere")
    assert client() is not before
    assert server.left.wait(10)


@pytest.mark.parametrize("server", [Patient], indirect=True)
def test_a_body_that_is_dropped_before_its_end_closes_its_connection(server: type[Patient]) -> None:
    ring = [client().get_object(Bucket="bucket", Key="key")["Body"]]
    ring.append(ring)
    del ring
    gc.collect()
    assert server.left.wait(10)


class Endless(Patient):
    """Says no length and sends pieces for as long as somebody reads; counts what it sent."""

    sent = 0

    def do_GET(self) -> None:
        """Chunks without an end."""
        self.send_response_only(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        type(self).sent = 0
        with suppress(OSError):  # the reader has had enough
            while type(self).sent < 64 << 20:
                self.wfile.write(b"%x\r\n%b\r\n" % (_LENGTH, bytes(_LENGTH)))
                type(self).sent += _LENGTH


@pytest.mark.parametrize("server", [Endless], indirect=True)
@pytest.mark.parametrize("read", [Incoming.whole, Incoming.content])
def test_an_object_that_says_no_length_is_read_no_further_than_its_reader_wants(
    server: type[Endless], read: Callable[[Incoming, int], object]
) -> None:
    store = store_at("s3://bucket/place")
    with pytest.raises(TooLarge, match="s3://bucket/place/a: wanted at most 65,536 bytes, found"):
        store.stream("a", lambda found: read(found, 64 << 10))
    assert server.sent < 32 << 20  # what it sent before it heard of the end lies in buffers of the system
