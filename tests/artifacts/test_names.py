"""What a manifest may say: a digest that is one, a name that stays below its artifact, and nothing else is touched."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fastgen_k8s.artifacts import Artifact, Cached, FileEntry, Store, begin, open_artifact, read, store_at
from fastgen_k8s.artifacts.cache_views import owner
from fastgen_k8s.artifacts.incoming import Incoming
from fastgen_k8s.artifacts.manifest import CLAIM, MANIFEST, Claim, Manifest, from_json
from fastgen_k8s.artifacts.models import add_model
from fastgen_k8s.artifacts.names import LARGEST_FILE, LONGEST_NAME, MOST_FILES, is_name
from fastgen_k8s.artifacts.s3_client import client
from fastgen_k8s.data.blocks import Block
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.training.committed import Checkpoint
from tests.s3_server import Server

DATA = b"alpha"
ENTRY = FileEntry.of(DATA).model_dump(mode="json")
GOOD = {"kind": "pairs", "digest": "d" * 64, "inputs": {"teacher": "e" * 64}, "files": {"a.txt": ENTRY}}
NAMES = [
    "",
    ".",
    "..",
    "../marker",
    "/marker",
    "a/../../marker",
    "a//b",
    "a/",
    "./a",
    "a/.",
    "a\\b",
    "a\0b",
    "a\udce9b",  # a byte that was no UTF-8
    "a\nb",
    "a\x7fb",
    "n" * (LONGEST_NAME + 1),
]
DIGESTS = ["", "d", "../marker", "D" * 64, "d" * 63, "d" * 65, "d" * 64 + "\n", f"../{'d' * 61}"]


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty place."""
    if request.param == "folder":
        return store_at(str(tmp_path / "place"))
    server: Server = request.getfixturevalue("s3")
    return store_at(server.place())


@pytest.mark.parametrize("name", ["a", "a/b.txt", ".hidden", "..a", "...", "a..b", "ä/ö", "a b", "a%20b", "1" * 200])
def test_a_name_below_its_artifact_is_one(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_elsewhere_is_none(name: str) -> None:
    assert not is_name(name)


SAID: dict[str, Callable[[str], tuple[type, dict[str, object]]]] = {
    "a manifest's file": lambda name: (Manifest, {**GOOD, "files": {name: ENTRY}}),
    "a block's file": lambda name: (Block, {"files": {name: ENTRY}}),
    "a checkpoint's file": lambda name: (Checkpoint, {"prefix": "0001-aa", "step": 1, "files": {name: ENTRY}}),
    "a checkpoint's group": lambda name: (Checkpoint, {"prefix": name, "step": 1, "files": {}}),
}


@pytest.mark.parametrize("where", SAID)
@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_elsewhere_is_refused_when_it_is_read(where: str, name: str) -> None:
    model, said = SAID[where](name)
    with pytest.raises(BadInput, match=r"^place/it\.json: "):
        from_json(model, json.dumps(said).encode(), "place/it.json")


DIGESTED: dict[str, Callable[[str], tuple[type, dict[str, object]]]] = {
    "a manifest": lambda digest: (Manifest, {**GOOD, "digest": digest}),
    "a manifest's input": lambda digest: (Manifest, {**GOOD, "inputs": {"teacher": digest}}),
    "a manifest's file": lambda digest: (Manifest, {**GOOD, "files": {"a": {**ENTRY, "sha256": digest}}}),
    "a claim": lambda digest: (Claim, {"kind": "pairs", "digest": digest}),
    "a block's file": lambda digest: (Block, {"files": {"a": {**ENTRY, "sha256": digest}}}),
    "a checkpoint's file": lambda digest: (
        Checkpoint,
        {"prefix": "0001-aa", "step": 1, "files": {"a": {**ENTRY, "sha256": digest}}},
    ),
}


@pytest.mark.parametrize("where", DIGESTED)
@pytest.mark.parametrize("digest", DIGESTS)
def test_a_digest_that_is_none_is_refused_when_it_is_read(where: str, digest: str) -> None:
    model, said = DIGESTED[where](digest)
    with pytest.raises(BadInput, match=r"^place/it\.json: .*sha256|digest|inputs"):
        from_json(model, json.dumps(said).encode(), "place/it.json")


ABSURD: dict[str, tuple[type, dict[str, object]]] = {
    "a size": (Manifest, {**GOOD, "files": {"a": {**ENTRY, "size": LARGEST_FILE + 1}}}),
    "a kind": (Manifest, {**GOOD, "kind": "k" * 64}),
    "a step": (Checkpoint, {"prefix": "0001-aa", "step": 10**30, "files": {}}),
}


@pytest.mark.parametrize("case", ABSURD)
def test_numbers_and_words_have_bounds(case: str) -> None:
    model, said = ABSURD[case]
    with pytest.raises(BadInput, match=r"at most|less than or equal"):
        from_json(model, json.dumps(said).encode(), "place/it.json")


def test_a_manifest_with_too_many_files_is_refused_before_any_is_looked_at() -> None:
    files = dict.fromkeys(map(str, range(MOST_FILES + 1)))  # none of them is an entry
    with pytest.raises(Misdescribed, match=f"files: wanted at most {MOST_FILES} files, found {MOST_FILES + 1}"):
        Manifest.restore({**GOOD, "files": files}, "place/it.json")


READS: dict[str, Callable[[Artifact], object]] = {
    "a file": lambda artifact: artifact.read("a.txt"),
    "a local file": lambda artifact: artifact.local("a.txt"),
    "a folder": lambda artifact: artifact.folder(),
}


@pytest.mark.parametrize("read", READS)
def test_a_manifest_cannot_have_a_file_outside_of_the_cache_removed(s3: Server, tmp_path: Path, read: str) -> None:
    marker = tmp_path / "marker"
    marker.write_bytes(b"other")
    contents = owner().cache.folder / "contents"
    (contents / "..").mkdir(parents=True, exist_ok=True)
    way = os.path.relpath(marker, contents / "..")  # as the name of a content would be put together
    store = store_at(s3.place())
    files = {"a.txt": {"size": len(b"other"), "sha256": way}}
    store.put("a.txt", b"other")
    store.put(MANIFEST, json.dumps({**GOOD, "files": files}).encode())
    with pytest.raises(BadInput, match=r"artifact\.json: files\.a\.txt\.sha256: "):
        READS[read](open_artifact(store.uri, "pairs"))
    assert marker.read_bytes() == b"other"


@pytest.mark.parametrize("read", READS)
def test_a_name_cannot_have_a_file_outside_of_its_artifact_read_or_replaced(
    store: Store, tmp_path: Path, read: str
) -> None:
    marker = tmp_path / "marker"
    marker.write_bytes(DATA)
    store.put("a.txt", DATA)
    store.put(MANIFEST, json.dumps({**GOOD, "files": {"a.txt": ENTRY, "../marker": ENTRY}}).encode())
    with pytest.raises(BadInput, match=r"artifact\.json: .*wanted the name of a file below its artifact, found '\.\./"):
        READS[read](open_artifact(store.uri, "pairs"))
    assert (marker.read_bytes(), marker.stat().st_nlink) == (DATA, 1)


OPERATIONS: dict[str, Callable[[Store, str], object]] = {
    "read": lambda store, key: read(store, key),
    "get": lambda store, key: store.get(key),
    "fetch": lambda store, key: Cached(store).fetch(key, FileEntry.of(DATA)),
    "local": lambda store, key: Cached(store).local(key, FileEntry.of(DATA)),
    "folder": lambda store, key: Cached(store).folder("", {key: FileEntry.of(DATA)}),
    "copy": lambda store, key: Cached(store).copy(key),
    "content": lambda store, key: store.stream(key, Incoming.content),
    "holds": lambda store, key: Cached(store).holds(key, FileEntry.of(DATA)),
    "stat": lambda store, key: store.stat(key),
}
WRITES: dict[str, Callable[[Store, str], object]] = {
    "put": lambda store, key: store.put(key, b"other"),
    "put_new": lambda store, key: store.put_new(key, b"other"),
    "upload": lambda store, key: store.upload(key, Path(__file__), FileEntry.of_file(Path(__file__))),
    "delete": lambda store, key: store.delete(key),
}


@pytest.mark.parametrize("operation", [*OPERATIONS, *WRITES])
def test_a_folder_takes_no_key_that_leads_out_of_it(tmp_path: Path, operation: str) -> None:
    (tmp_path / "marker").write_bytes(DATA)
    (tmp_path / "place").mkdir()
    with pytest.raises(BadInput, match="wanted the name of a file below its artifact"):
        (OPERATIONS | WRITES)[operation](store_at(str(tmp_path / "place")), "../marker")
    assert (tmp_path / "marker").read_bytes() == DATA


@pytest.fixture
def linked(tmp_path: Path) -> Store:
    """A folder with links out of it, to a file and to a folder that somebody else has, and with links within."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/marker").write_bytes(DATA)
    place = tmp_path / "place"
    (place / "real").mkdir(parents=True)
    (place / "real/a").write_bytes(DATA)
    (place / "file").symlink_to(tmp_path / "elsewhere/marker")
    (place / "folder").symlink_to(tmp_path / "elsewhere")
    (place / "within").symlink_to("real/a")
    (place / "inside").symlink_to("real")
    return store_at(str(place))


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("key", ["file", "folder/marker"])
def test_a_link_that_leaves_the_folder_is_not_followed(linked: Store, operation: str, key: str) -> None:
    with pytest.raises(BadInput, match=r"wanted a file below .*, found a link that leads out of it"):
        OPERATIONS[operation](linked, key)


@pytest.mark.parametrize("operation", WRITES)
@pytest.mark.parametrize("key", ["file", "folder/marker"])
def test_what_a_link_leads_to_is_never_changed(linked: Store, tmp_path: Path, operation: str, key: str) -> None:
    if key == "file":
        WRITES[operation](linked, key)  # the link itself is replaced, or removed
    else:
        with pytest.raises(BadInput, match=r"found a link that leads out of it"):
            WRITES[operation](linked, key)
    assert (tmp_path / "elsewhere/marker").read_bytes() == DATA


@pytest.mark.parametrize("key", ["within", "inside/a"])
def test_a_link_that_stays_inside_is_as_good_as_a_file(linked: Store, key: str) -> None:
    assert Cached(linked).fetch(key, FileEntry.of(DATA)) == DATA


def test_a_run_whose_folder_is_itself_a_link_is_fine(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    writer = begin(str(tmp_path / "run/pairs"), "pairs", "d" * 64, {})
    writer.put("a.txt", DATA)
    writer.commit({})
    assert open_artifact(str(tmp_path / "run/pairs"), "pairs").read("a.txt") == DATA


@pytest.mark.parametrize("how", ["read", "get", "content", "copy", "holds", "fetch", "local"])
def test_an_object_that_says_another_thing_than_a_sha256_counts_as_one_that_says_nothing(s3: Server, how: str) -> None:
    store = store_at(s3.place())
    bucket, _, prefix = store.uri.removeprefix("s3://").partition("/")
    client().put_object(Bucket=bucket, Key=f"{prefix}/a.txt", Body=DATA, Metadata={"sha256": "../marker"})
    found = OPERATIONS[how](store, "a.txt")
    data = found.read_bytes() if isinstance(found, Path) else found
    assert data == (True if how == "holds" else FileEntry.of(DATA) if how == "content" else DATA)


def test_a_model_with_a_name_that_no_manifest_holds_is_refused_before_anything_is_copied(tmp_path: Path) -> None:
    (tmp_path / "given/transformer").mkdir(parents=True)
    (tmp_path / "given/transformer/a\\b").write_bytes(DATA)
    with pytest.raises(BadInput, match="wanted names without backslash and control characters, found 'transformer/a"):
        add_model(tmp_path / "given", str(tmp_path / "model"))
    assert not (tmp_path / "model").exists()


def test_claims_and_manifests_as_they_always_were_are_read(tmp_path: Path) -> None:
    place = tmp_path / "old"
    (place / "samples/000000").mkdir(parents=True)
    (place / "samples/000000/latent.pth").write_bytes(DATA)
    (place / CLAIM).write_text(json.dumps({"digest": "d" * 64, "kind": "pairs"}))
    files = {"samples/000000/latent.pth": ENTRY}
    (place / MANIFEST).write_text(json.dumps({**GOOD, "facts": {"samples": 1}, "files": files}))
    assert open_artifact(str(place), "pairs").read("samples/000000/latent.pth") == DATA
