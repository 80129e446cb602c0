"""What is promised of every store, of a folder as of S3."""

import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from fastgen_k8s.artifacts import Cached, FileEntry, Store, begin, read, store_at
from fastgen_k8s.artifacts.incoming import Incoming
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
    assert read(store, "a/b.txt") == b"hello"


def test_a_later_put_replaces_an_earlier_one(store: Store) -> None:
    store.put("a", b"1")
    store.put("a", b"22")
    assert read(store, "a") == b"22"


def test_an_empty_file_is_there(store: Store) -> None:
    store.put("a", b"")
    assert store.get("a") == b""


def test_what_is_absent_is_not_found(store: Store) -> None:
    assert store.get("a/b") is None


def test_an_absent_key_is_bad_input(store: Store) -> None:
    with pytest.raises(BadInput, match=r"a\.txt: wanted a file, found none"):
        read(store, "a.txt")


@pytest.mark.parametrize("name", ["a b", "ä/ö", "a+b", "a%20b", "a&b=c", "a#b?c", "a..b", ".hidden"])
def test_a_key_may_hold_any_letters(store: Store, name: str) -> None:
    store.put(name, name.encode())
    assert (read(store, name), store.keys()) == (name.encode(), [name])


def test_only_one_of_many_writers_puts_a_new_key(store: Store) -> None:
    with ThreadPoolExecutor(16) as pool:
        for turn in range(10):
            won = list(pool.map(partial(store.put_new, f"once{turn}"), [str(n).encode() for n in range(16)]))
            assert won.count(True) == 1
            assert read(store, f"once{turn}") == str(won.index(True)).encode()


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
    assert store.get("a") is None


@pytest.mark.parametrize("data", [b"", b"some", LARGE], ids=["empty", "small", "in parts"])
def test_an_uploaded_file_comes_back_as_it_was(store: Store, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "source").write_bytes(data)
    store.upload("a/b.bin", tmp_path / "source", FileEntry.of(data))
    path = Cached(store).local("a/b.bin", FileEntry.of(data))
    assert (path.read_bytes() == data, path.name) == (True, "b.bin")


def test_what_a_draft_holds_can_be_read_once_it_is_published(store: Store) -> None:
    (Cached(store).draft("x/y") / "a").write_bytes(b"alpha")
    Cached(store).publish("x/y", {"a": FileEntry.of(b"alpha")})
    assert read(store, "x/y/a") == b"alpha"


def test_the_content_of_a_key_is_known_without_a_copy(store: Store) -> None:
    store.put("a", LARGE)
    assert (store.stream("a", Incoming.content), store.stream("b", Incoming.content)) == (FileEntry.of(LARGE), None)


def test_copies_of_one_key_by_many_are_each_whole(store: Store) -> None:
    data = LARGE[: 1 << 20]
    store.put("prompts.txt", data)

    def copied(_: int) -> FileEntry | None:
        path = Cached(store).copy("prompts.txt")
        return None if path is None else FileEntry.of_file(path)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(copied, range(64))) == [FileEntry.of(data)] * 64


def test_a_folder_holds_its_files_under_their_names(store: Store) -> None:
    entries = {name: FileEntry.of(name.encode()) for name in ("x/a", "x/deep/b")}
    for name in entries:
        store.put(name, name.encode())
    folder = Cached(store).folder("x", entries)
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {"a": b"x/a", "deep/b": b"x/deep/b"}


def test_a_store_says_whether_it_holds_a_content(store: Store) -> None:
    store.put("a", b"alpha")
    answers = [Cached(store).holds("a", FileEntry.of(data)) for data in (b"alpha", b"omega", b"alph")]
    assert [*answers, Cached(store).holds("b", FileEntry.of(b""))] == [True, False, False, False]


def test_a_store_says_when_a_key_was_written(store: Store) -> None:
    store.put("a", b"")
    found = store.stat("a")
    assert found is not None
    assert found.written is not None
    assert found.written > 1.7e9
    assert store.stat("b") is None


READS: dict[str, Callable[[Store, FileEntry], object]] = {
    "fetch": lambda store, entry: Cached(store).fetch("a.txt", entry),
    "local": lambda store, entry: Cached(store).local("a.txt", entry),
    "folder": lambda store, entry: Cached(store).folder("", {"a.txt": entry}),
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


BOUNDED: dict[str, Callable[[Store, int], object]] = {
    "read": lambda store, most: read(store, "a.txt", most),
    "get": lambda store, most: store.get("a.txt", most),
    "content": lambda store, most: store.stream("a.txt", lambda found: found.content(most)),
}


@pytest.mark.parametrize("how", BOUNDED)
def test_what_is_larger_than_the_reader_has_room_for_is_not_read(store: Store, how: str) -> None:
    store.put("a.txt", b"alpha")
    with pytest.raises(TooLarge, match=r"a\.txt: wanted at most 4 bytes, found 5"):
        BOUNDED[how](store, 4)
    assert BOUNDED[how](store, 5) == (FileEntry.of(b"alpha") if how == "content" else b"alpha")


@pytest.mark.parametrize("how", ["get", "content"])
def test_what_is_absent_is_not_too_large(store: Store, how: str) -> None:
    assert BOUNDED[how](store, 0) is None


def test_a_large_file_is_refused_before_it_is_in_memory(store: Store) -> None:
    store.put("large", LARGE)
    store.put("small", b"")
    read(store, "small")  # what a first answer needs
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            read(store, "large", at_most=1 << 10)
        with pytest.raises(BadInput, match="wanted 9 bytes, found"):
            Cached(store).fetch("large", FileEntry.of(b"never put"))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 << 20


def test_a_file_is_written_where_nobody_sees_it_and_put_whole(store: Store) -> None:
    writer = begin(store.uri, "weights", "d" * 64, {})
    with writer.file("a/b.bin") as path:
        path.write_bytes(LARGE)
        assert store.keys() == ["work.json"]
    assert read(store, "a/b.bin") == LARGE
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
    assert store.stream("a", lambda found: found.start(3)) == LARGE[:3]
    assert store.stream("a", lambda found: found.start(len(LARGE) + 1)) == LARGE
    assert store.stream("b", lambda found: found.start(3)) is None


def test_a_listing_has_a_bound(store: Store) -> None:
    for key in ("b", "a", "c"):
        store.put(key, b"")
    assert store.keys(at_most=3) == ["a", "b", "c"]
    with pytest.raises(TooLarge, match="wanted at most 2 files, found more"):
        store.keys(at_most=2)
