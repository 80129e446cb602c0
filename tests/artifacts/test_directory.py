"""A folder as a store."""

import os
import subprocess
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from fastgen_k8s.artifacts import Cached, read
from fastgen_k8s.artifacts.directory import Directory
from fastgen_k8s.artifacts.manifest import FileEntry
from fastgen_k8s.errors import BadInput, StoreFailed


@pytest.fixture
def store(tmp_path: Path) -> Directory:
    return Directory(str(tmp_path / "place"))


def test_what_is_put_is_read(store: Directory) -> None:
    store.put("a/b.txt", b"hello")
    assert read(store, "a/b.txt") == b"hello"


def test_an_absent_key_is_bad_input(store: Directory) -> None:
    with pytest.raises(BadInput, match=r"a\.txt: wanted a file, found none"):
        read(store, "a.txt")


def test_only_one_of_many_writers_puts_a_new_key(store: Directory) -> None:
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(partial(store.put_new, "once"), [str(n).encode() for n in range(64)]))
    assert won.count(True) == 1
    assert read(store, "once") == str(won.index(True)).encode()


def test_keys_are_listed_by_prefix_and_sorted(store: Directory) -> None:
    for key in ("b/2", "b/1", "a", "bc"):
        store.put(key, b"")
    assert store.keys("b/") == ["b/1", "b/2"]
    assert store.keys("b") == ["b/1", "b/2", "bc"]


def test_an_unfinished_write_is_no_key(store: Directory) -> None:
    store.put("a", b"")
    (store.root / ".tmp-x").write_bytes(b"half")
    assert store.keys() == ["a"]


def test_nothing_temporary_is_left_behind(store: Directory) -> None:
    store.put("a", b"1")
    store.put_new("a", b"2")
    assert [path.name for path in store.root.iterdir()] == ["a"]


def test_a_deleted_key_is_gone_and_deleting_it_again_is_fine(store: Directory) -> None:
    store.put("a", b"")
    store.delete("a")
    store.delete("a")
    assert store.get("a") is None


WRITES: dict[str, Callable[[Directory], object]] = {
    "put": lambda store: store.put("a/b", b"x"),
    "put_new": lambda store: store.put_new("a/b", b"x"),
    "upload": lambda store: store.upload("a/b", Path(__file__), FileEntry.of_file(Path(__file__))),
}


@pytest.mark.parametrize("how", WRITES)
def test_a_place_below_a_file_is_refused_for_good(store: Directory, how: str) -> None:
    store.put("a", b"a file where a folder would be needed")
    with pytest.raises(BadInput, match=f"{store.root}/a/b: wanted a folder on the way there, found a file"):
        WRITES[how](store)


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """A file system of 64 KiB; mounting one needs root, which CI has."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_a_store_failure_and_keeps_what_was_there(small_disk: Path) -> None:
    store = Directory(str(small_disk))
    store.put("a", b"old")
    with pytest.raises(StoreFailed, match="No space left on device"):
        store.put("a", bytes(1 << 20))
    assert read(store, "a") == b"old"
    assert store.keys() == ["a"]


def test_what_was_put_is_known_without_reading_it(store: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("a", b"hello")
    opened: list[Path] = []
    monkeypatch.setattr(FileEntry, "of_file", opened.append)
    assert [Cached(store).holds("a", FileEntry.of(data)) for data in (b"hello", b"other", b"hell")] == [
        True,
        False,
        False,
    ]
    assert opened == []


def test_an_attribute_that_is_no_sha256_counts_as_none(store: Directory) -> None:
    store.put("a", b"hello")
    os.setxattr(store.root / "a", "user.sha256", b"../marker")
    assert [Cached(store).holds("a", FileEntry.of(data)) for data in (b"hello", b"other")] == [True, False]
