"""A Kubernetes API server for people: every refusal is one line that says what it means for whoever asked."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import urllib3

from fastgen_k8s.errors import BadInput, FastgenError, Misdescribed, StoreFailed
from fastgen_k8s.kube.connection import Connection, Refused, Unreachable, lines
from fastgen_k8s.kube.objects import Object

_TIMEOUT = 30.0  # seconds for an answer
_MAY_PASS = frozenset({408, 409, 429})


class Api:
    """One API server, found by KUBECONFIG, ~/.kube/config or a pod's service account."""

    def __init__(self) -> None:
        retries = urllib3.Retry(connect=2, read=0, status=5, status_forcelist=(429,), allowed_methods=None)
        self._connection = Connection(retries)
        self.server = self._connection.server

    def find(self, path: str, **query: Any) -> Object | None:
        """The object or list at a path, or None when there is none."""
        with self._meaning():
            return self._connection.get(path, _TIMEOUT, **query)

    def create(self, path: str, body: Mapping[str, Any], **query: Any) -> Object:
        """A new object in the collection at a path; Misdescribed when the server refuses what it says."""
        with self._meaning(f"{self.server}{path}: wanted something to post, found none: {_missing(path)}"):
            return self._connection.post(path, body, timeout=_TIMEOUT, **query)

    def patch(self, path: str, body: Mapping[str, Any]) -> Object:
        """A part of an object replaced (a JSON merge patch)."""
        with self._meaning(f"{self.server}{path}: wanted something to patch, found none: {_missing(path)}"):
            return self._connection.merge(path, body, timeout=_TIMEOUT)

    def delete(self, path: str) -> None:
        """Remove an object and, after it, what it owns; an absent one is fine."""
        with self._meaning():
            self._connection.delete(path, timeout=_TIMEOUT)

    def lines(self, path: str, **query: Any) -> Iterator[str]:
        """The lines of a log, as they come; none when it is not there."""
        with self._meaning():
            try:
                answer = self._connection.request("GET", path, timeout=None, stream=True, **query)
            except Refused as refusal:
                if refusal.status == 404:
                    return
                raise
            for line in lines(answer):
                yield line.decode(errors="replace")

    @contextmanager
    def _meaning(self, absent: str | None = None) -> Generator[None]:
        try:
            yield
        except Unreachable as error:
            raise StoreFailed(f"{self.server}: wanted a Kubernetes API server, found none ({error})") from error
        except Refused as refusal:
            raise _refused(refusal, absent) from refusal


def _refused(refusal: Refused, absent: str | None) -> FastgenError:
    """What the server's answer means for whoever asked."""
    if refusal.status == 404 and absent:
        return BadInput(absent)
    if refusal.status >= 500 or refusal.status in _MAY_PASS:
        return StoreFailed(str(refusal))
    return (Misdescribed if refusal.status in (400, 403, 422) else BadInput)(str(refusal))


def _missing(path: str) -> str:
    """What a 404 on a collection means."""
    group = path.removeprefix("/apis/").partition("/")[0]
    return f"is {group} installed in this cluster, and is there such a namespace?"
