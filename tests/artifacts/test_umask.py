"""Who may read and write what is written here: whom the user's umask lets."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastgen_k8s.artifacts import Cached, FileEntry, begin, store_at
from fastgen_k8s.artifacts.cache import Cache
from fastgen_k8s.artifacts.cache_views import Owner
from fastgen_k8s.runner.lock import only_runner
from tests.s3_server import Server

DATA = b"data"
ENTRY = FileEntry.of(DATA)


@pytest.fixture(params=[0o022, 0o027, 0o002], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """The user's, while something is written."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder: Path) -> set[int]:
    """The permissions of every file below a folder."""
    return {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}


def _uploaded(place: Path) -> None:
    source = place / "elsewhere"
    source.write_bytes(DATA)
    source.chmod(0o600)
    store_at(str(place / "store")).upload("a/b", source, FileEntry.of_file(source))
    source.unlink()


def _adopted(place: Path) -> None:
    (place / "draft").write_bytes(DATA)
    Cache(place / "cache", 1 << 20).adopt(ENTRY, place / "draft")


def _drafted(place: Path) -> None:
    with begin(str(place), "weights", "0" * 64, {}).file("a/b") as path:
        path.unlink()
        path.write_bytes(DATA)
        path.chmod(0o600)  # as safetensors leaves what it has written


def _locked(place: Path) -> None:
    with only_runner(place / "root"):
        Owner(Cache(place / "cache", 1 << 20))


def _fetch(path: Path) -> None:
    path.write_bytes(DATA)


WRITERS: dict[str, Callable[[Path], object]] = {
    "put": lambda place: store_at(str(place)).put("a/b", DATA),
    "put_new": lambda place: store_at(str(place)).put_new("a/b", DATA),
    "upload": _uploaded,
    "a file that a library writes": _drafted,
    "an artifact": lambda place: begin(str(place), "pairs", "0" * 64, {}).commit({}),
    "locks": _locked,
}
CACHED: dict[str, Callable[[Path], object]] = {
    "kept": lambda place: Cache(place, 1 << 20).keep(ENTRY, DATA),
    "adopted": _adopted,
    "fetched": lambda place: Cache(place, 1 << 20).link(ENTRY, place / "link", _fetch),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_has_the_permissions_that_the_umask_leaves(writer: str, umask: int, tmp_path: Path) -> None:
    WRITERS[writer](tmp_path)
    assert modes(tmp_path) == {0o666 & ~umask}


@pytest.mark.parametrize("writer", CACHED)
def test_a_cached_content_can_be_read_by_whom_the_umask_lets_and_written_by_nobody(
    writer: str, umask: int, tmp_path: Path
) -> None:
    CACHED[writer](tmp_path / "cache" if writer != "adopted" else tmp_path)
    assert modes(tmp_path / "cache/contents") == {0o444 & ~umask}


def test_what_comes_from_s3_is_cached_so(
    s3: Server, umask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTGEN_CACHE", str(tmp_path))
    store = store_at(s3.place())
    store.put("a", DATA)
    assert Cached(store).local("a", ENTRY).stat().st_mode & 0o777 == 0o444 & ~umask
