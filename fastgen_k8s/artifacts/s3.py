# pyright: basic
"""Objects under `s3://bucket/prefix` as a store: what is put is whole or not there, and what is read is checked."""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from botocore.exceptions import ClientError, ReadTimeoutError, ResponseStreamingError

from fastgen_k8s.artifacts.address import Address
from fastgen_k8s.artifacts.incoming import PIECE, Garbled, Incoming, Stat, arrived
from fastgen_k8s.artifacts.manifest import FileEntry, first_keys
from fastgen_k8s.artifacts.names import is_sha256
from fastgen_k8s.artifacts.s3_checksums import are_left_out, asked
from fastgen_k8s.artifacts.s3_client import client, transfers, wait
from fastgen_k8s.artifacts.s3_errors import CUT_SHORT, FAILED, answer, explained
from fastgen_k8s.errors import io_at

_SHA256, _WRITER = "sha256", "writer"  # metadata of our objects
_ABSENT = ("NoSuchKey", "404")
_LOST = ("PreconditionFailed", "412")
T = TypeVar("T")


class S3:
    """Objects under one prefix of a bucket."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._address = Address.parse(uri)

    def where(self, key: str) -> str:
        """The URI of a key."""
        return f"{self.uri}/{key}" if key else self.uri

    def get(self, key: str, at_most: int | None = None) -> bytes | None:
        """The whole content of a key, None when it is absent."""
        return self.stream(key, lambda found: found.whole(at_most))

    def stream(self, key: str, take: Callable[[Incoming], T]) -> T | None:
        """What `take` makes of an object as it comes."""

        def ask() -> T | None:
            its = client()
            checked = {} if are_left_out(its.meta.endpoint_url) else {"ChecksumMode": "ENABLED"}
            found = _unless_absent(lambda: its.get_object(**self._object(key), **checked))
            if found is None:
                return None
            with closing(found["Body"]) as body:  # also where its first bytes are not asked for
                return take(Incoming(self.where(key), _stat(found), _pieces(body)))

        return self._asked(key, ask)

    def stat(self, key: str) -> Stat | None:
        """Size, recorded sha256 and time of an object."""
        found = self._asked(key, lambda: self._head(key))
        return None if found is None else _stat(found)

    def keys(self, prefix: str = "", at_most: int | None = None) -> Sequence[str]:
        """All keys that begin with `prefix`, sorted."""
        return self._asked(prefix, lambda: first_keys(self._list(prefix), at_most, self.uri))

    def put(self, key: str, data: bytes) -> None:
        """Write a key whole, replacing what was there."""
        about = _signed(FileEntry.of(data))
        self._asked(key, lambda: client().put_object(**self._object(key), Body=data, Metadata=about))

    def put_new(self, key: str, data: bytes) -> bool:
        """Write a key whole unless it exists; whether this call wrote it.

        The answer to a request that succeeded may be lost: asked again, the store says that the key exists. The mark of
        this call tells its own object from another's.
        """
        mark = {_WRITER: uuid4().hex}
        about = _signed(FileEntry.of(data)) | mark

        def put() -> bool:
            try:
                client().put_object(**self._object(key), Body=data, Metadata=about, IfNoneMatch="*")
            except ClientError as error:
                if answer(error)[1] not in _LOST:
                    raise
                found = self._head(key)
                return found is not None and found["Metadata"].get(_WRITER) == mark[_WRITER]
            return True

        return self._asked(key, put)

    def upload(self, key: str, source: Path, entry: FileEntry) -> None:
        """Write a key from a local file with this content, in parts where it is large."""
        names, about = self._transfer(key, source), {"Metadata": _signed(entry)}
        with io_at(source):
            self._asked(key, lambda: transfers().upload(**names, extra_args=about).result())

    def download(self, key: str, entry: FileEntry, target: Path) -> None:
        """Write an object with this content to a local file, in parts where it is large."""

        def ask() -> None:
            transfers().download(**self._transfer(key, target)).result()
            arrived(entry, FileEntry.of_file(target), self.where(key))

        self._asked(key, ask)

    def delete(self, key: str) -> None:
        """Remove a key; an absent one is fine."""
        self._asked(key, lambda: client().delete_object(**self._object(key)))

    def sweep(self) -> None:
        """Nothing is left unfinished under a key; parts of uploads that never ended go by the bucket's own rule."""

    def _asked(self, key: str, ask: Callable[[], T]) -> T:
        """Ask, and ask again when the answer arrived cut or changed: the wire may have done that."""
        attempt = 1
        try:
            while True:
                try:
                    return asked(ask, client)
                except (Garbled, *CUT_SHORT) as error:
                    seconds = wait(attempt, "", f"{key}: {error}")
                    if seconds is None:
                        raise
                attempt += 1
                time.sleep(seconds)
        except FAILED as error:
            raise explained(error, self.where(key)) from error

    def _head(self, key: str) -> Any:
        return _unless_absent(lambda: client().head_object(**self._object(key)))

    def _list(self, prefix: str) -> Generator[str]:
        wanted = {"Bucket": self._address.bucket, "Prefix": self._address.key(prefix)}
        for page in client().get_paginator("list_objects_v2").paginate(**wanted):
            yield from (self._address.name(found["Key"]) for found in page.get("Contents", ()))

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self._address.bucket, "Key": self._address.key(key)}

    def _transfer(self, key: str, file: Path) -> dict[str, str]:
        return {"bucket": self._address.bucket, "key": self._address.key(key), "fileobj": str(file)}


def _unless_absent(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except ClientError as error:
        if answer(error)[1] in _ABSENT:
            return None
        raise


def _signed(entry: FileEntry) -> dict[str, str]:
    return {_SHA256: entry.sha256}


def _stat(found: dict[str, Any]) -> Stat:
    """What a store says of an object; metadata are whoever's who may write there: what is no sha256 was not said."""
    sha256, written = found["Metadata"].get(_SHA256, ""), found.get("LastModified")
    return Stat(found.get("ContentLength"), sha256 if is_sha256(sha256) else None, written and written.timestamp())


def _pieces(body: Any) -> Generator[bytes]:
    try:
        yield from body.iter_chunks(PIECE)
    except ReadTimeoutError as error:
        raise ResponseStreamingError(error=error) from error
