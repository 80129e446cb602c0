# pyright: basic
"""Objects under `s3://bucket/prefix` as a store: what is put is whole or not there, and what is read is checked."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from botocore.exceptions import ClientError, ReadTimeoutError, ResponseStreamingError

from fastgen_k8s.artifacts.address import Address
from fastgen_k8s.artifacts.cache_views import owner
from fastgen_k8s.artifacts.manifest import FileEntry, check_size, first_keys
from fastgen_k8s.artifacts.names import below, is_sha256
from fastgen_k8s.artifacts.s3_checksums import are_left_out, asked
from fastgen_k8s.artifacts.s3_client import client, transfers, wait
from fastgen_k8s.artifacts.s3_errors import CUT_SHORT, FAILED, answer, explained
from fastgen_k8s.errors import BadInput, failed_io

_SHA256, _WRITER = "sha256", "writer"  # metadata of our objects
_FILES_AT_ONCE = 8
_PIECE = 1 << 20  # bytes
_ABSENT = ("NoSuchKey", "404")
_LOST = ("PreconditionFailed", "412")
T = TypeVar("T")


class _Garbled(BadInput):
    """An object whose bytes arrived as others than the store says that it holds."""


class S3:
    """Objects under one prefix of a bucket."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._address = Address.parse(uri)

    # --- read ---

    def read(self, key: str, at_most: int | None = None) -> bytes:
        """The whole content of a key."""
        data = self.find(key, at_most)
        if data is None:
            raise BadInput(f"{self._where(key)}: wanted a file, found none")
        return data

    def find(self, key: str, at_most: int | None = None) -> bytes | None:
        """The content of a key, or None when it is absent."""
        return self._whole(key, lambda: self._get(key, None, at_most))

    def start(self, key: str, most: int) -> bytes | None:
        """The first bytes of a key."""

        def ask() -> bytes | None:
            found = self._opened(key)
            if found is None:
                return None
            with closing(found["Body"]) as body:
                return body.read(most)

        return self._whole(key, ask)

    def fetch(self, key: str, entry: FileEntry) -> bytes:
        """The content of a key, from the node's cache where it is there, checked."""
        cache = owner().cache
        data = cache.read(entry)
        if data is None:
            data = self._whole(key, lambda: self._get(key, entry, entry.size))
            if data is None:
                raise BadInput(f"{self._where(key)}: wanted a file, found none")
            cache.keep(entry, data)
        return data

    def local(self, key: str, entry: FileEntry) -> Path:
        """A local file with the content of a key, checked, which stays for the life of this process.

        The node's cache may have the content, but the store has to hold it: a later stage reads it elsewhere.
        """
        mine = owner()
        target = below(mine.view(self.uri), key)
        self._confirm(key, entry)
        mine.cache.link(entry, target, lambda path: self._whole(key, lambda: self._download(key, entry, path)))
        return target

    def folder(self, prefix: str, files: Mapping[str, FileEntry]) -> Path:
        """A local folder with the files of some keys below a prefix, each checked."""
        _each(lambda name: self.local(name, files[name]), files)
        return owner().view(self.uri) / prefix

    def copy(self, key: str) -> Path | None:
        """A local file with what a key holds, checked by the store's own checksum; None when it is absent."""
        target = below(owner().view(self.uri), key)
        with _disk(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            return target if self._whole(key, lambda: self._copy(key, target)) else None

    def content(self, key: str, at_most: int | None = None) -> FileEntry | None:
        """Size and sha256 of what a key holds, read through and not kept; None when it is absent."""
        return self._whole(key, lambda: self._content(key, at_most))

    def stated(self, key: str) -> FileEntry | None:
        """What the writer of an object said that it is, if it was one of ours."""
        found = self._head(key)
        return None if found is None else _recorded(found)

    def holds(self, key: str, entry: FileEntry) -> bool:
        """Whether a key has a content, by what the store says of it: it has checked that when it was put."""
        try:
            self._confirm(key, entry)
        except BadInput:
            return False
        return True

    def written(self, key: str) -> float | None:
        """When a key was written, in seconds since 1970; None when it is absent."""
        found = self._head(key)
        return None if found is None else found["LastModified"].timestamp()

    def keys(self, prefix: str = "", at_most: int | None = None) -> Sequence[str]:
        """All keys that begin with `prefix`, sorted."""
        return self._whole(prefix, lambda: first_keys(self._list(prefix), at_most, self.uri))

    # --- write ---

    def put(self, key: str, data: bytes) -> None:
        """Write a key whole, replacing what was there."""
        about = _signed(FileEntry.of(data))
        self._whole(key, lambda: client().put_object(**self._object(key), Body=data, Metadata=about))

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

        return self._whole(key, put)

    def upload(self, key: str, source: Path) -> None:
        """Write a key from a local file, in parts where it is large."""
        self._upload(key, source, FileEntry.of_file(source))

    def draft(self, prefix: str) -> Path:
        """A local folder in which to write files that `publish` puts below a prefix."""
        folder = owner().drafts(self.uri) / prefix
        with _disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def publish(self, prefix: str, files: Mapping[str, FileEntry]) -> None:
        """Put files of the draft of a prefix; they stay in the node's cache, so that it need not read them back."""
        folder, cache = self.draft(prefix), owner().cache

        def put(name: str) -> None:
            self._upload(f"{prefix}/{name}" if prefix else name, folder / name, files[name])
            cache.adopt(files[name], folder / name)

        _each(put, files)

    def delete(self, key: str) -> None:
        """Remove a key; an absent one is fine."""
        self._whole(key, lambda: client().delete_object(**self._object(key)))

    def sweep(self) -> None:
        """Nothing is left unfinished under a key; parts of uploads that never ended go by the bucket's own rule."""

    # --- how ---

    def _get(self, key: str, entry: FileEntry | None, at_most: int | None) -> bytes | None:
        found = self._opened(key)
        if found is None:
            return None
        with closing(found["Body"]):  # also where its first bytes are not asked for
            recorded = _recorded(found)
            if entry is not None and "ContentLength" in found:
                entry.check_size(found["ContentLength"], self._where(key))
            if entry is not None and recorded is not None:
                entry.check(recorded, self._where(key))
            data = b"".join(self._bounded(key, found, at_most))
        _compare(entry or recorded, FileEntry.of(data), self._where(key))
        return data

    def _opened(self, key: str) -> Any:
        """An object whose body is still to be read, or None."""
        its = client()
        checked = {} if are_left_out(its.meta.endpoint_url) else {"ChecksumMode": "ENABLED"}
        try:
            return its.get_object(**self._object(key), **checked)
        except ClientError as error:
            if answer(error)[1] in _ABSENT:
                return None
            raise

    def _bounded(self, key: str, found: Any, at_most: int | None) -> Generator[bytes]:
        """The pieces of an object: none when the store says that they are too many, no more when it does not say."""
        check_size(found.get("ContentLength", 0), at_most, self._where(key))
        size = 0
        for piece in _pieces(found):
            size += len(piece)
            check_size(size, at_most, self._where(key))
            yield piece

    def _copy(self, key: str, target: Path) -> bool:
        found = self._opened(key)
        if found is None:
            return False
        made = target.with_name(f".{uuid4().hex}")  # others may copy the same key, or read what was copied before
        try:
            with made.open("wb") as file:
                for piece in _pieces(found):
                    file.write(piece)
            _compare(_recorded(found), FileEntry.of_file(made), self._where(key))
            made.replace(target)
        finally:
            made.unlink(missing_ok=True)
        return True

    def _content(self, key: str, at_most: int | None) -> FileEntry | None:
        found = self._opened(key)
        if found is None:
            return None
        with closing(found["Body"]):
            entry = FileEntry.of_pieces(self._bounded(key, found, at_most))
        _compare(_recorded(found), entry, self._where(key))
        return entry

    def _download(self, key: str, entry: FileEntry, path: Path) -> None:
        transfers().download(**_names(self._object(key)), fileobj=str(path)).result()
        _compare(entry, FileEntry.of_file(path), self._where(key))

    def _upload(self, key: str, source: Path, entry: FileEntry) -> None:
        names = _names(self._object(key)) | {"fileobj": str(source)}
        with _disk(source):
            self._whole(key, lambda: transfers().upload(**names, extra_args={"Metadata": _signed(entry)}).result())

    def _whole(self, key: str, ask: Callable[[], T]) -> T:
        """Ask, and ask again when the answer arrived cut or changed: the wire may have done that."""
        attempt = 1
        with self._said(key):
            while True:
                try:
                    return asked(ask, client)
                except (_Garbled, *CUT_SHORT) as error:
                    seconds = wait(attempt, "", f"{key}: {error}")
                    if seconds is None:
                        raise
                attempt += 1
                time.sleep(seconds)

    def _confirm(self, key: str, entry: FileEntry) -> None:
        """Raise BadInput when the store says that a key is absent or of another content."""
        found = self._head(key)
        if found is None:
            raise BadInput(f"{self._where(key)}: wanted a file, found none")
        sha256 = _stated(found) or entry.sha256  # an object that is not ours has its size only
        entry.check(FileEntry(size=found["ContentLength"], sha256=sha256), self._where(key))

    def _head(self, key: str) -> Any:
        def ask() -> Any:
            try:
                return client().head_object(**self._object(key))
            except ClientError as error:
                if answer(error)[1] in _ABSENT:
                    return None
                raise

        return self._whole(key, ask)

    def _list(self, prefix: str) -> Generator[str]:
        wanted = {"Bucket": self._address.bucket, "Prefix": self._address.key(prefix)}
        for page in client().get_paginator("list_objects_v2").paginate(**wanted):
            yield from (self._address.name(found["Key"]) for found in page.get("Contents", ()))

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self._address.bucket, "Key": self._address.key(key)}

    def _where(self, key: str) -> str:
        return f"{self.uri}/{key}" if key else self.uri

    @contextmanager
    def _said(self, key: str) -> Generator[None]:
        try:
            yield
        except FAILED as error:
            raise explained(error, self._where(key)) from error


def _names(names: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in names.items()}


def _signed(entry: FileEntry) -> dict[str, str]:
    return {_SHA256: entry.sha256}


def _pieces(found: Any) -> Generator[bytes]:
    try:
        with closing(found["Body"]) as body:
            yield from body.iter_chunks(_PIECE)
    except ReadTimeoutError as error:
        raise ResponseStreamingError(error=error) from error


def _compare(wanted: FileEntry | None, found: FileEntry, where: str) -> None:
    if wanted is not None:
        try:
            wanted.check(found, where)
        except BadInput as error:
            raise _Garbled(str(error)) from error


def _recorded(found: dict[str, Any]) -> FileEntry | None:
    """What the writer of an object said that it is; None for an object that is not ours."""
    sha256 = _stated(found)
    if sha256 is None or "ContentLength" not in found:
        return None
    return FileEntry(size=found["ContentLength"], sha256=sha256)


def _stated(found: dict[str, Any]) -> str | None:
    """The sha256 in an object's metadata, which anybody who may write there chooses: what is none was not said."""
    sha256 = found["Metadata"].get(_SHA256, "")
    return sha256 if is_sha256(sha256) else None


def _each(work: Callable[[str], object], names: Mapping[str, FileEntry]) -> None:
    """Do the work for every name, some at once; the first failure counts."""
    with ThreadPoolExecutor(_FILES_AT_ONCE, "store") as pool:
        for future in [pool.submit(work, name) for name in names]:
            future.result()


@contextmanager
def _disk(where: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise failed_io(error, where) from error
