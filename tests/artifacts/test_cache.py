"""The node's cache: fetched once, checked, bounded, and gone with whoever used it."""

import multiprocessing
import os
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from fastgen_k8s.artifacts import Cached, FileEntry, store_at
from fastgen_k8s.artifacts.cache import Cache, cache_limit
from fastgen_k8s.artifacts.cache_views import Owner, owner
from fastgen_k8s.errors import BadInput, Misdescribed, StoreFailed
from tests.faults import Faults, proxy
from tests.s3_server import Server

MIB = 1 << 20


def content(number: int) -> bytes:
    """A MiB of its own."""
    return bytes([number]) * MIB


def writes(data: bytes) -> Callable[[Path], None]:
    """A fetch that brings this."""

    def fetch(path: Path) -> None:
        path.write_bytes(data)

    return fetch


def never(path: Path) -> None:
    """A fetch that must not happen."""
    raise AssertionError(path)


def kept(cache: Cache) -> set[int]:
    """Which contents are there."""
    return {path.read_bytes()[0] for path in (cache.folder / "contents").glob("*/*")}


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """Room for four contents."""
    return Cache(tmp_path / "cache", 4 * MIB + MIB // 4)


def test_a_content_is_fetched_once(cache: Cache, tmp_path: Path) -> None:
    entry = FileEntry.of(content(1))
    cache.link(entry, tmp_path / "a", writes(content(1)))
    cache.link(entry, tmp_path / "b", never)
    assert (tmp_path / "b").read_bytes() == content(1)


def test_a_content_that_was_damaged_here_is_fetched_again(cache: Cache, tmp_path: Path) -> None:
    entry = FileEntry.of(content(1))
    cache.link(entry, tmp_path / "a", writes(content(1)))
    [path] = (cache.folder / "contents").glob("*/*")
    path.unlink()
    path.write_bytes(content(2))
    cache.link(entry, tmp_path / "a", writes(content(1)))
    assert (tmp_path / "a").read_bytes() == content(1)


def test_a_damaged_content_is_not_read(cache: Cache) -> None:
    entry = FileEntry.of(content(1))
    cache.keep(entry, content(1))
    [path] = (cache.folder / "contents").glob("*/*")
    path.unlink()
    path.write_bytes(content(2))
    assert cache.read(entry) is None


def test_what_others_link_to_cannot_be_written_by_accident(cache: Cache) -> None:
    cache.keep(FileEntry.of(content(1)), content(1))
    [path] = (cache.folder / "contents").glob("*/*")
    assert path.stat().st_mode & 0o222 == 0


def test_least_recently_used_goes_first(cache: Cache) -> None:
    for number in range(1, 5):
        cache.keep(FileEntry.of(content(number)), content(number))
        [path] = [found for found in (cache.folder / "contents").glob("*/*") if found.read_bytes()[0] == number]
        os.utime(path, (number, number))
    assert cache.read(FileEntry.of(content(1))) is not None  # used now
    cache.keep(FileEntry.of(content(5)), content(5))
    assert kept(cache) == {1, 3, 4, 5}


def test_what_is_in_use_is_not_evicted(cache: Cache, tmp_path: Path) -> None:
    for number in range(1, 7):
        cache.link(FileEntry.of(content(number)), tmp_path / str(number), writes(content(number)))
    cache.evict(0)
    assert kept(cache) == set(range(1, 7))
    (tmp_path / "1").unlink()
    cache.evict(0)
    assert kept(cache) == set(range(2, 7))


def test_the_folders_of_a_process_that_has_ended_are_removed(cache: Cache) -> None:
    first = Owner(cache)
    (first.view("s3://bucket/a")).mkdir(parents=True)
    second = Owner(cache)
    assert len([*(cache.folder / "views").iterdir()]) == 2
    del first
    third = Owner(cache)
    assert second.cache is third.cache
    assert len([*(cache.folder / "views").iterdir()]) == 2


@pytest.mark.parametrize("given", ["much", "-1", "nan", "inf"])
def test_a_bound_that_is_none_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTGEN_CACHE_GIB", given)
    with pytest.raises(Misdescribed, match="FASTGEN_CACHE_GIB: wanted a number of GiB"):
        cache_limit()


def _read(uri: str, entry: FileEntry) -> None:
    Cached(store_at(uri)).local("large", entry)


def test_the_processes_of_a_node_download_a_file_once(
    s3: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, entry = s3.place(), FileEntry.of(content(7))
    store_at(place).put("large", content(7))
    faults = Faults(0, 0.0)
    with proxy(s3.endpoint, faults) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        monkeypatch.setenv("FASTGEN_CACHE", str(tmp_path / "cache"))
        context = multiprocessing.get_context("spawn")
        readers = [context.Process(target=_read, args=(place, entry)) for _ in range(4)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    assert [reader.exitcode for reader in readers] == [0, 0, 0, 0]
    assert faults.asked["GET"] == 1


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside", "a//b"])
def test_a_manifest_cannot_name_a_file_outside_of_its_artifact(s3: Server, name: str) -> None:
    place = s3.place()
    with pytest.raises(BadInput):
        Cached(store_at(place)).folder("", {name: FileEntry.of(b"")})
    assert not (owner().view(place).parent / "outside").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """A file system of 1 MiB; mounting one needs root, which CI has."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk_is_one_line_that_may_pass(s3: Server, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, entry = s3.place(), FileEntry.of(content(8) * 3)
    store_at(place).put("large", content(8) * 3)
    monkeypatch.setenv("FASTGEN_CACHE", str(small_disk))
    with pytest.raises(StoreFailed, match=f"the cache {small_disk} .*: No space left on device"):
        Cached(store_at(place)).local("large", entry)


def test_pairs_stream_past_a_full_disk(s3: Server, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, entry = s3.place(), FileEntry.of(content(9) * 3)
    store_at(place).put("large", content(9) * 3)
    monkeypatch.setenv("FASTGEN_CACHE", str(small_disk))
    assert Cached(store_at(place)).fetch("large", entry) == content(9) * 3
