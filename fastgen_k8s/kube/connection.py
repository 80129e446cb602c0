"""One connection to a Kubernetes API server, by plain data: the only user of the official client."""
# pyright: reportMissingTypeStubs=false

import json
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import urllib3
from kubernetes import client, config
from kubernetes.client import ApiException
from kubernetes.config import ConfigException

from fastgen_k8s.errors import BadInput
from fastgen_k8s.kube.clock import ServerClock
from fastgen_k8s.kube.objects import Object

Timeout = float | tuple[float, float] | None  # seconds in all, or to connect and between two pieces of the answer
Observe = Callable[[str, int | None], None]  # told the verb and status of each request; None: there was no answer

_LONGEST = 400  # characters of what the server said
_POOL = 32  # connections that are kept: a watch takes one for its life
SHORT = 4.0  # seconds for one object: a write that a leader begins ends before another can lead
_DEFAULT = "~/.kube/config"


class Refused(Exception):
    """The server answered, and not with what was asked for."""

    def __init__(self, status: int, message: str, where: str = "") -> None:
        super().__init__(f"{where}: refused with {status}: {message}")
        self.status, self.message = status, message


class Unreachable(Exception):
    """There was no whole answer: no connection, no TLS, silence for too long, or a stream that was cut."""


def _unobserved(verb: str, status: int | None) -> None:
    """Nobody counts."""


class Connection:
    """One API server, found by KUBECONFIG, ~/.kube/config or a pod's service account; safe for threads."""

    def __init__(self, retries: urllib3.Retry | bool = False, observe: Observe = _unobserved) -> None:
        settings = client.Configuration()
        try:
            _find(settings)
        except (ConfigException, FileNotFoundError) as error:
            raise BadInput(f"wanted a cluster in KUBECONFIG or ~/.kube/config, found none ({error})") from error
        settings.retries = retries  # pyright: ignore[reportAttributeAccessIssue]  # else urllib3 makes three of its own
        settings.connection_pool_maxsize = _POOL
        self.server: str = settings.host or ""
        self.clock = ServerClock()
        self._client = client.ApiClient(settings)
        self._observe = observe

    def request(
        self,
        verb: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        content_type: str = "application/json",
        timeout: Timeout,
        stream: bool = False,
        **query: Any,
    ) -> urllib3.BaseHTTPResponse:
        """One request: Refused for an answer of 300 or more, Unreachable for none. A stream is read by `lines`."""
        with _reached():
            request: Any = self._client.param_serialize(  # pyright: ignore[reportUnknownMemberType]
                verb,
                path,
                query_params=list(query.items()),
                body=body,
                auth_settings=["BearerToken"],  # a pod's token is read again when it is a minute old
                header_params={"Accept": "application/json, */*", "Content-Type": content_type},
            )
            response = self._send(verb, request, timeout)
            if response.status >= 300:
                raise Refused(response.status, _said(response.data), f"{self.server}{path}")
            if not stream:
                _ = response.data  # read while errors of the connection are caught
            return response

    def get(self, path: str, timeout: Timeout = SHORT, **query: Any) -> Object | None:
        """The object or list at a path, or None when there is none."""
        try:
            return _object(self.request("GET", path, timeout=timeout, **query))
        except Refused as refusal:
            if refusal.status == 404:
                return None
            raise

    def post(self, path: str, body: Mapping[str, Any], *, timeout: Timeout = SHORT, **query: Any) -> Object:
        """A new object in the collection at a path."""
        return _object(self.request("POST", path, body, timeout=timeout, **query))

    def put(self, path: str, body: Mapping[str, Any], *, timeout: Timeout = SHORT) -> Object:
        """An object replaced; refused with 409 when it is no longer at the resourceVersion that the body names."""
        return _object(self.request("PUT", path, body, timeout=timeout))

    def merge(self, path: str, body: Mapping[str, Any], *, timeout: Timeout = SHORT) -> Object:
        """A part of an object replaced (a JSON merge patch)."""
        kind = "application/merge-patch+json"
        return _object(self.request("PATCH", path, body, content_type=kind, timeout=timeout))

    def apply(self, path: str, body: Mapping[str, Any], *, field_manager: str) -> Object:
        """Server-side apply: an object made, or brought to this shape in the fields that this manager owns."""
        kind, query = "application/apply-patch+yaml", Object(fieldManager=field_manager, force="true")
        return _object(self.request("PATCH", path, body, content_type=kind, timeout=SHORT, **query))

    def delete(self, path: str, *, uid: str | None = None, timeout: Timeout = SHORT) -> None:
        """Remove an object and what it owns; an absent one is fine, one of another uid is refused with 409."""
        options: Object = {"propagationPolicy": "Background"} | ({"preconditions": {"uid": uid}} if uid else {})
        try:
            self.request("DELETE", path, options, timeout=timeout)
        except Refused as refusal:
            if refusal.status != 404:
                raise

    def close(self) -> None:
        """Close the connections that are kept."""
        self._client.close()

    def _send(self, verb: str, request: Any, timeout: Timeout) -> urllib3.BaseHTTPResponse:
        """A request, and the beginning of its answer."""
        sent, status = time.monotonic(), None
        try:
            answer: Any = self._client.call_api(*request, _request_timeout=timeout)  # pyright: ignore[reportUnknownMemberType]
            response = cast("urllib3.BaseHTTPResponse", answer.response)
            status = response.status
        finally:
            self._observe(verb, status)
        self.clock.learn(response.headers.get("Date"), sent)
        return response


def lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """The lines of a stream as they come; Unreachable when it is cut or silent for longer than its time-out."""
    rest = b""
    try:
        with _reached():
            for piece in response.stream(2**16):
                *whole, rest = (rest + piece).split(b"\n")
                yield from whole
    except ValueError as error:  # what TLS says when another thread shuts its socket down
        raise Unreachable(str(error)) from error
    finally:
        response.close()
    if rest:
        yield rest


def cut(response: urllib3.BaseHTTPResponse) -> None:
    """End a stream while another thread reads it: that one finds it cut."""
    with suppress(ValueError, RuntimeError, OSError):  # it has just ended by itself
        response.shutdown()


@contextmanager
def _reached() -> Generator[None]:
    try:
        yield
    except (urllib3.exceptions.HTTPError, ApiException, ConfigException, OSError) as error:  # no TLS; no token
        raise Unreachable(str(error)) from error


def _find(settings: client.Configuration) -> None:
    """The cluster, looked for now: the library looks at KUBECONFIG when it is imported."""
    file = os.environ.get("KUBECONFIG") or _DEFAULT
    if file == _DEFAULT and not Path(file).expanduser().exists():
        config.load_incluster_config(client_configuration=settings)  # pyright: ignore[reportUnknownMemberType]
    else:
        config.load_kube_config(file, client_configuration=settings)  # pyright: ignore[reportUnknownMemberType]


def _said(data: bytes) -> str:
    """What the server says about its refusal, bounded."""
    try:
        said = str(cast("Object", json.loads(data)).get("message", ""))
    except (ValueError, AttributeError):  # not JSON, or not an object: from a proxy on the way
        said = data.decode(errors="replace")
    return said[:_LONGEST]


def _object(response: urllib3.BaseHTTPResponse) -> Object:
    try:
        return cast("Object", json.loads(response.data))
    except ValueError as error:  # something on the way answered in the server's place
        raise Unreachable(f"wanted JSON, found {response.data[:_LONGEST].decode(errors='replace')!r}") from error
