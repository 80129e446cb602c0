"""One connection to the store that the environment names, and none left open to one that it named before."""

import gc
import threading
from collections.abc import Generator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

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
def patient(monkeypatch: pytest.MonkeyPatch) -> Generator[type[Patient]]:
    """A store that the environment names."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    Patient.left.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Patient) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
        yield Patient
        server.shutdown()


def test_a_store_that_is_not_named_any_more_has_no_connection_left(
    patient: type[Patient], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = client()
    before.head_bucket(Bucket="bucket")
    assert client() is before
    assert not patient.left.is_set()
    monkeypatch.setenv("AWS_REGION", "elsewhere")
    assert client() is not before
    assert patient.left.wait(10)


def test_a_body_that_is_dropped_before_its_end_closes_its_connection(patient: type[Patient]) -> None:
    ring = [client().get_object(Bucket="bucket", Key="key")["Body"]]
    ring.append(ring)
    del ring
    gc.collect()
    assert patient.left.wait(10)
