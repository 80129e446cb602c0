"""What is promised of every store, of a folder as of S3."""

import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from fastgen_k8s.artifacts import FileEntry, Store, begin, store_at
from fastgen_k8s.artifacts.manifest import TooLarge
from fastgen_k8s.errors import BadInput, StoreFailed
from tests.s3_server import Server

LARGE = bytes(range(256)) * (40 << 12)  # 40 MiB: three parts


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty place."""
    if request.param == "folder":
        return store_at(str(tmp_path / "place"))
    server: Server = request.getfixturevalue("s3")
    return store_at(server.place())


def test_what_is_put_is_read(store: Store) -> None:
    store.put("a/b.txt", b"hello")
    assert store.read("a/b.txt") == b"hello"


def test_a_later_put_replaces_an_earlier_one(store: Store) -> None:
    store.put("a", b"1")
    store.put("a", b"22")
    assert store.read("a") == b"22"


def test_an_empty_file_is_there(store: Store) -> None:
    store.put("a", b"")
    assert store.find("a") == b""


def test_what_is_absent_is_not_found(store: Store) -> None:
    assert store.find("a/b") is None


def test_an_absent_key_is_bad_input(store: Store) -> None:
    with pytest.raises(BadInput, match=r"a\.txt: wanted a file, found none"):
        store.read("a.txt")


@pytest.mark.parametrize("name", ["a b", "ä/ö", "a+b", "a%20b", "a&b=c", "a#b?c", "a..b", ".hidden"])
def test_a_key_may_hold_any_letters(store: Store, name: str) -> None:
    store.put(name, name.encode())
    assert (store.read(name), store.keys()) == (name.encode(), [name])


def test_only_one_of_many_writers_puts_a_new_key(store: Store) -> None:
    with ThreadPoolExecutor(16) as pool:
        for turn in range(10):
            won = list(pool.map(partial(store.put_new, f"once{turn}"), [str(n).encode() for n in range(16)]))
            assert won.count(True) == 1
            assert store.read(f"once{turn}") == str(won.index(True)).encode()


def test_keys_are_listed_by_prefix_and_sorted(store: Store) -> None:
    for key in ("b/2", "b/1", "a", "bc"):
        store.put(key, b"")
    assert store.keys("b/") == ["b/1", "b/2"]
    assert store.keys("b") == ["b/1", "b/2", "bc"]
    assert store.keys() == ["a", "b/1", "b/2", "bc"]


def test_more_keys_than_a_page_holds_are_listed(store: Store) -> None:
    names = [f"{number:04d}" for number in range(1100)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(partial(store.put, data=b""), names))
    assert store.keys() == names


def test_keys_of_a_neighbour_whose_name_begins_alike_are_not_listed(store: Store) -> None:
    store_at(f"{store.uri}-neighbour").put("a", b"")
    store.put("b", b"")
    assert store.keys() == ["b"]


def test_a_deleted_key_is_gone_and_deleting_it_again_is_fine(store: Store) -> None:
    store.put("a", b"")
    store.delete("a")
    store.delete("a")
    assert store.find("a") is None


@pytest.mark.parametrize("data", [b"", b"some", LARGE], ids=["empty", "small", "in parts"])
def test_an_uploaded_file_comes_back_as_it_was(store: Store, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "source").write_bytes(data)
    store.upload("a/b.bin", tmp_path / "source")
    path = store.local("a/b.bin", FileEntry.of(data))
    assert (path.read_bytes() == data, path.name) == (True, "b.bin")


def test_what_a_draft_holds_can_be_read_once_it_is_published(store: Store) -> None:
    (store.draft("x/y") / "a").write_bytes(b"alpha")
    store.publish("x/y", {"a": FileEntry.of(b"alpha")})
    assert store.read("x/y/a") == b"alpha"


def test_the_content_of_a_key_is_known_without_a_copy(store: Store) -> None:
    store.put("a", LARGE)
    assert (store.content("a"), store.content("b")) == (FileEntry.of(LARGE), None)


def test_copies_of_one_key_by_many_are_each_whole(store: Store) -> None:
    data = LARGE[: 1 << 20]
    store.put("prompts.txt", data)

    def copied(_: int) -> FileEntry | None:
        path = store.copy("prompts.txt")
        return None if path is None else FileEntry.of_file(path)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(copied, range(64))) == [FileEntry.of(data)] * 64


def test_a_folder_holds_its_files_under_their_names(store: Store) -> None:
    entries = {name: FileEntry.of(name.encode()) for name in ("x/a", "x/deep/b")}
    for name in entries:
        store.put(name, name.encode())
    folder = store.folder("x", entries)
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {"a": b"x/a", "deep/b": b"x/deep/b"}


def test_a_store_says_whether_it_holds_a_content(store: Store) -> None:
    store.put("a", b"alpha")
    answers = [store.holds("a", FileEntry.of(data)) for data in (b"alpha", b"omega", b"alph")]
    assert [*answers, store.holds("b", FileEntry.of(b""))] == [True, False, False, False]


def test_a_store_says_when_a_key_was_written(store: Store) -> None:
    store.put("a", b"")
    written = store.written("a")
    assert written is not None
    assert written > 1.7e9
    assert store.written("b") is None


READS: dict[str, Callable[[Store, FileEntry], object]] = {
    "fetch": lambda store, entry: store.fetch("a.txt", entry),
    "local": lambda store, entry: store.local("a.txt", entry),
    "folder": lambda store, entry: store.folder("", {"a.txt": entry}),
}
WRONG: dict[str, tuple[FileEntry, str]] = {
    "size": (FileEntry.of(b"alph"), r"a\.txt: wanted 4 bytes, found 5"),
    "content": (FileEntry.of(b"aleph"), r"a\.txt: wanted sha256 .*, found"),
}


@pytest.mark.parametrize("how", READS)
@pytest.mark.parametrize("what", WRONG)
def test_another_content_than_the_wanted_one_is_refused(store: Store, how: str, what: str) -> None:
    entry, message = WRONG[what]
    store.put("a.txt", b"alpha")
    with pytest.raises(BadInput, match=message):
        READS[how](store, entry)


@pytest.mark.parametrize("how", READS)
def test_what_is_absent_cannot_be_fetched(store: Store, how: str) -> None:
    with pytest.raises(BadInput, match=r"a\.txt: wanted a file, found none"):
        READS[how](store, FileEntry.of(b"never put"))


def test_a_place_that_a_killed_writer_left_is_swept_without_harm(store: Store) -> None:
    store.put("a", b"")
    store.sweep()
    assert store.keys() == ["a"]


@pytest.mark.parametrize("read", ["read", "find", "content"])
def test_what_is_larger_than_the_reader_has_room_for_is_not_read(store: Store, read: str) -> None:
    store.put("a.txt", b"alpha")
    with pytest.raises(TooLarge, match=r"a\.txt: wanted at most 4 bytes, found 5"):
        getattr(store, read)("a.txt", at_most=4)
    assert getattr(store, read)("a.txt", at_most=5) == (FileEntry.of(b"alpha") if read == "content" else b"alpha")


@pytest.mark.parametrize("read", ["find", "content"])
def test_what_is_absent_is_not_too_large(store: Store, read: str) -> None:
    assert getattr(store, read)("a.txt", at_most=0) is None


def test_a_large_file_is_refused_before_it_is_in_memory(store: Store) -> None:
    store.put("large", LARGE)
    store.put("small", b"")
    store.read("small")  # what a first answer needs
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            store.read("large", at_most=1 << 10)
        with pytest.raises(BadInput, match="wanted 9 bytes, found"):
            store.fetch("large", FileEntry.of(b"never put"))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 << 20


def test_a_file_is_written_where_nobody_sees_it_and_put_whole(store: Store) -> None:
    writer = begin(store.uri, "weights", "d" * 64, {})
    with writer.file("a/b.bin") as path:
        path.write_bytes(LARGE)
        assert store.keys() == ["work.json"]
    assert store.read("a/b.bin") == LARGE
    assert writer.files == {"a/b.bin": FileEntry.of(LARGE)}


def test_a_file_that_was_not_finished_leaves_nothing(store: Store) -> None:
    writer = begin(store.uri, "weights", "d" * 64, {})
    with pytest.raises(StoreFailed, match="no room"), writer.file("a/b.bin") as path:
        path.write_bytes(b"half")
        raise StoreFailed("no room")
    assert (store.keys(), writer.files) == (["work.json"], {})
    assert not path.exists()


def test_the_start_of_a_key_is_read_alone(store: Store) -> None:
    store.put("a", LARGE)
    assert store.start("a", 3) == LARGE[:3]
    assert store.start("a", len(LARGE) + 1) == LARGE
    assert store.start("b", 3) is None


def test_a_listing_has_a_bound(store: Store) -> None:
    for key in ("b", "a", "c"):
        store.put(key, b"")
    assert store.keys(at_most=3) == ["a", "b", "c"]
    with pytest.raises(TooLarge, match="wanted at most 2 files, found more"):
        store.keys(at_most=2)
