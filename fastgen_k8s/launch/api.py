"""A Kubernetes API server, by plain data: the official client's connection, without its typed models."""
# pyright: reportMissingTypeStubs=false

import json
import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import urllib3
from kubernetes import client, config
from kubernetes.client import ApiException
from kubernetes.config import ConfigException

from fastgen_k8s.errors import BadInput, FastgenError, Misdescribed, StoreFailed

_TIMEOUT = 30.0  # seconds for an answer
_LONGEST = 400  # characters of what the server said
_MAY_PASS = frozenset({408, 409, 429})

Found = dict[str, Any]  # an object as the server tells it


class Api:
    """One API server, found by KUBECONFIG, ~/.kube/config or a pod's service account."""

    def __init__(self) -> None:
        settings = client.Configuration()
        named = os.environ.get("KUBECONFIG")  # looked at now: the library does when it is imported
        where = {"config_file": named} if named else {}
        try:
            config.load_config(client_configuration=settings, **where)  # pyright: ignore[reportUnknownMemberType]
        except (ConfigException, FileNotFoundError) as error:
            raise BadInput(f"wanted a cluster in KUBECONFIG or ~/.kube/config, found none ({error})") from error
        settings.retries = urllib3.Retry(connect=2, read=0, status=5, status_forcelist=(429,), allowed_methods=None)
        self.server: str = settings.host or ""
        self._client = client.ApiClient(settings)

    def find(self, path: str, **query: str) -> Found | None:
        """The object or list at a path, or None when there is none."""
        answer = self._call("GET", path, None, query)
        return None if answer is None else _object(answer)

    def create(self, path: str, body: Mapping[str, Any], **query: str) -> Found:
        """A new object in the collection at a path; Misdescribed when the server refuses what it says."""
        return self._written("POST", path, body, query)

    def patch(self, path: str, body: Mapping[str, Any]) -> Found:
        """A part of an object replaced (a JSON merge patch)."""
        return self._written("PATCH", path, body, {})

    def delete(self, path: str) -> None:
        """Remove an object and, after it, what it owns; an absent one is fine."""
        self._call("DELETE", path, {"propagationPolicy": "Background"}, {})

    def lines(self, path: str, **query: str) -> Iterator[str]:
        """The lines of a log, as they come."""
        answer = self._call("GET", path, None, query, stream=True)
        if answer is None:
            return
        rest = b""
        with _reached(self.server):
            for piece in answer.stream(2**16):
                *whole, rest = (rest + piece).split(b"\n")
                yield from (line.decode(errors="replace") for line in whole)
        if rest:
            yield rest.decode(errors="replace")

    def _written(self, verb: str, path: str, body: Mapping[str, Any], query: Mapping[str, str]) -> Found:
        answer = self._call(verb, path, body, query)
        if answer is None:
            raise BadInput(f"{self.server}{path}: wanted something to {verb.lower()}, found none: {_missing(path)}")
        return _object(answer)

    def _call(
        self, verb: str, path: str, body: Mapping[str, Any] | None, query: Mapping[str, str], stream: bool = False
    ) -> urllib3.BaseHTTPResponse | None:
        kind = "application/merge-patch+json" if verb == "PATCH" else "application/json"
        request: Any = self._client.param_serialize(  # pyright: ignore[reportUnknownMemberType]
            verb,
            path,
            query_params=list(query.items()),
            body=body,
            auth_settings=["BearerToken"],
            header_params={"Accept": "application/json, */*", "Content-Type": kind},
        )
        with _reached(self.server):
            answer: Any = self._client.call_api(  # pyright: ignore[reportUnknownMemberType]
                *request, _request_timeout=None if stream else _TIMEOUT
            )
            response = cast("urllib3.BaseHTTPResponse", answer.response)
            if response.status == 404:
                return None
            if response.status >= 300:
                raise _refused(response.status, response.data, f"{self.server}{path}")
            if not stream:
                _ = response.data  # read while errors of the connection are caught
            return response


@contextmanager
def _reached(server: str) -> Generator[None]:
    try:
        yield
    except (urllib3.exceptions.HTTPError, ApiException) as error:  # the latter: TLS does not come about
        raise StoreFailed(f"{server}: wanted a Kubernetes API server, found none ({error})") from error


def _refused(status: int, data: bytes, where: str) -> FastgenError:
    """What the server's answer means for whoever asked."""
    try:
        said = str(cast("Found", json.loads(data)).get("message", ""))
    except ValueError:
        said = data.decode(errors="replace")
    line = f"{where}: refused with {status}: {said[:_LONGEST]}"
    if status >= 500 or status in _MAY_PASS:
        return StoreFailed(line)
    return Misdescribed(line) if status in (400, 403, 422) else BadInput(line)


def _object(response: urllib3.BaseHTTPResponse) -> Found:
    return cast("Found", json.loads(response.data))


def _missing(path: str) -> str:
    """What a 404 on a collection means."""
    group = path.removeprefix("/apis/").partition("/")[0]
    return f"is {group} installed in this cluster, and is there such a namespace?"
