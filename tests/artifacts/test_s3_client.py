"""One connection to the store that the environment names, and none left open to one that it named before."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fastgen_k8s.artifacts.s3_client import client


class Patient(BaseHTTPRequestHandler):
    """Keeps a connection for as long as its client does."""

    protocol_version = "HTTP/1.1"
    left = threading.Event()

    def do_HEAD(self) -> None:
        """There is whatever is asked for."""
        self.send_response_only(200)
        self.end_headers()

    def finish(self) -> None:
        """The client has closed."""
        super().finish()
        self.left.set()


def test_a_store_that_is_not_named_any_more_has_no_connection_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with ThreadingHTTPServer(("127.0.0.1", 0), Patient) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
        before = client()
        before.head_bucket(Bucket="bucket")
        assert client() is before
        assert not Patient.left.is_set()
        monkeypatch.setenv("AWS_REGION", "elsewhere")
        assert client() is not before
        assert Patient.left.wait(10)
        server.shutdown()
