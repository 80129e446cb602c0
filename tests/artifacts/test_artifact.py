"""Artifacts are whole, or they are not there."""

import json
import os
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from fastgen_k8s.artifacts import Artifact, begin, find_artifact, open_artifact
from fastgen_k8s.artifacts.manifest import MANIFEST_BYTES, MOST_BYTES, FileEntry
from fastgen_k8s.artifacts.models import add_model
from fastgen_k8s.artifacts.single import input_digest
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.runner.history import read_history
from tests import teachers


def write(place: Path, digest: str = "d" * 64, kind: str = "pairs") -> Artifact:
    writer = begin(str(place), kind, digest, {"teacher": "e" * 64})
    writer.put("a.txt", b"alpha")
    writer.put("sub/b.txt", b"beta")
    writer.commit({"samples": 2})
    return open_artifact(str(place), kind)


def test_a_committed_artifact_reads_back_with_its_facts(tmp_path: Path) -> None:
    artifact = write(tmp_path / "a")
    assert artifact.read("sub/b.txt") == b"beta"
    assert artifact.manifest.facts["samples"] == 2
    assert artifact.manifest.inputs == {"teacher": "e" * 64}


def test_without_a_manifest_there_is_no_artifact(tmp_path: Path) -> None:
    begin(str(tmp_path / "a"), "pairs", "d" * 64, {}).put("a.txt", b"alpha")
    assert find_artifact(str(tmp_path / "a")) is None


def test_the_second_writer_gets_the_first_ones_manifest(tmp_path: Path) -> None:
    place = str(tmp_path / "a")
    first, second = begin(place, "pairs", "d" * 64, {}), begin(place, "pairs", "d" * 64, {})
    assert first.commit({"by": 1}) == second.commit({"by": 2})


def test_a_commit_removes_what_killed_writers_left_and_nothing_that_may_still_be_written(tmp_path: Path) -> None:
    writer = begin(str(tmp_path), "pairs", "d" * 64, {})
    writer.put("sub/a.txt", b"alpha")
    (tmp_path / "sub/.tmp-dead").write_bytes(b"half")
    os.utime(tmp_path / "sub/.tmp-dead", (0, 0))
    (tmp_path / "sub/.tmp-busy").write_bytes(b"half")
    writer.commit({})
    assert sorted(path.name for path in (tmp_path / "sub").iterdir()) == [".tmp-busy", "a.txt"]


def test_equal_artifacts_have_equal_manifests(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b")
    assert (tmp_path / "a/artifact.json").read_bytes() == (tmp_path / "b/artifact.json").read_bytes()


def test_a_place_of_another_digest_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a", "1" * 64)
    with pytest.raises(
        BadInput, match="wanted the place of pairs 2222222222222222, found that of pairs 1111111111111111"
    ):
        begin(str(tmp_path / "a"), "pairs", "2" * 64, {})


def test_a_place_with_foreign_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BadInput, match=r"wanted an empty place or one of pairs .*, found thesis\.tex"):
        begin(str(tmp_path), "pairs", "d" * 64, {})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a shorter file": (lambda a: (a / "a.txt").write_bytes(b"alp"), r"a\.txt: wanted 5 bytes, found 3"),
    "another content": (lambda a: (a / "a.txt").write_bytes(b"aleph"), r"a\.txt: wanted sha256 .*, found"),
    "no file": (lambda a: (a / "a.txt").unlink(), r"a\.txt: wanted a file, found none"),
}


READS: dict[str, Callable[[Artifact], object]] = {
    "a file": lambda artifact: artifact.read("a.txt"),
    "a local file": lambda artifact: artifact.local("a.txt"),
    "a folder": lambda artifact: artifact.folder(),
}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("read", READS)
def test_damage_is_seen_on_reading(tmp_path: Path, how: str, read: str) -> None:
    damage, message = DAMAGE[how]
    artifact = write(tmp_path / "a")
    damage(tmp_path / "a")
    with pytest.raises(BadInput, match=message):
        READS[read](artifact)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "[" * 100_000,
        '{"kind": "pairs"}',
        '{"kind": 1, "digest": 2, "files": 3}',
        '{"kind": "pairs", "digest": "d", "files": {"a": {"size": -1, "sha256": "0"}}}',
        '{"kind": "pairs", "digest": "d", "files": {"a": {"size": true, "sha256": "0"}}}',
        '{"kind": "pairs", "digest": "d", "files": {"a": {"size": 1}}}',
    ],
)
def test_a_manifest_that_is_none_is_bad_input(tmp_path: Path, text: str) -> None:
    (tmp_path / "artifact.json").write_text(text)
    with pytest.raises(BadInput, match=r"artifact\.json: "):
        open_artifact(str(tmp_path), "pairs")


def test_a_folder_in_the_place_of_a_manifest_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "artifact.json").mkdir()
    with pytest.raises(BadInput, match=r"artifact\.json: Is a directory"):
        open_artifact(str(tmp_path), "pairs")


@pytest.mark.parametrize("uri", ["", "file://", "a\0b", "gs://bucket/a"])
def test_what_names_no_place_is_refused(uri: str) -> None:
    with pytest.raises(Misdescribed, match="wanted a folder, file:// or s3://"):
        find_artifact(uri)


def test_another_kind_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a")
    with pytest.raises(BadInput, match="wanted an artifact of kind weights or training, found pairs"):
        open_artifact(str(tmp_path / "a"), ("weights", "training"))


def test_a_folder_of_an_artifact_holds_its_files(tmp_path: Path) -> None:
    assert (write(tmp_path / "a").folder("sub/") / "b.txt").read_bytes() == b"beta"


def test_a_file_that_the_manifest_does_not_name_is_not_read(tmp_path: Path) -> None:
    artifact = write(tmp_path / "a")
    (tmp_path / "a/extra.txt").write_text("x")
    with pytest.raises(BadInput, match=r"wanted the file 'extra\.txt'"):
        artifact.read("extra.txt")


HASHES: dict[str, Callable[[Path], object]] = {
    "a local file": lambda place: open_artifact(str(place), "weights").local("large"),
    "an input": lambda place: input_digest(str(place / "large")),
    "an entry": lambda place: FileEntry.of_file(place / "large"),
}


@pytest.mark.parametrize("case", HASHES)
def test_a_file_is_hashed_without_being_held_whole(tmp_path: Path, case: str) -> None:
    writer = begin(str(tmp_path), "weights", "d" * 64, {})
    writer.put("large", bytes(8 << 20))
    writer.commit({})
    tracemalloc.start()
    try:
        HASHES[case](tmp_path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2 << 20


def test_the_manifest_is_json_that_people_can_read(tmp_path: Path) -> None:
    write(tmp_path / "a")
    assert json.loads((tmp_path / "a/artifact.json").read_text())["files"]["a.txt"]["size"] == 5


LARGE_BY_NAME: dict[str, tuple[int, Callable[[str], object]]] = {
    "artifact.json": (MANIFEST_BYTES, find_artifact),
    "work.json": (MOST_BYTES, lambda place: begin(place, "pairs", "d" * 64, {})),
    "run.json": (MOST_BYTES, read_history),
}


@pytest.mark.parametrize("name", LARGE_BY_NAME)
def test_a_small_file_that_is_not_small_is_refused_unread(tmp_path: Path, name: str) -> None:
    most, read = LARGE_BY_NAME[name]
    with (tmp_path / name).open("wb") as file:
        file.truncate(most + 1)  # a hole: it takes no room
    with pytest.raises(BadInput, match=rf"{re.escape(name)}: wanted at most {most:,} bytes, found {most + 1:,}"):
        read(str(tmp_path))


def test_an_input_that_takes_too_long_to_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_bytes(b"alpha")
    with pytest.raises(BadInput, match=r"prompts\.txt: wanted at most 4 bytes, found 5"):
        input_digest(str(tmp_path / "prompts.txt"), at_most=4)
    assert input_digest(str(tmp_path / "prompts.txt"), at_most=5) == FileEntry.of(b"alpha").sha256


def test_what_no_reader_would_take_is_not_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastgen_k8s.artifacts.artifact.MANIFEST_BYTES", 4096)
    writer = begin(str(tmp_path), "pairs", "d" * 64, {})
    with pytest.raises(BadInput, match=r"artifact\.json: wanted at most 4,096 bytes"):
        writer.commit({"said": "a" * 4096})
    assert find_artifact(str(tmp_path)) is None


def test_a_model_whose_digest_does_not_follow_from_its_files_is_nobodys_input(tmp_path: Path) -> None:
    place = tmp_path / "model"
    add_model(teachers.write(tmp_path / "given"), str(place))
    assert open_artifact(str(place), "model").manifest.digest == input_digest(str(place))
    manifest = json.loads((place / "artifact.json").read_text())
    (place / "vae/config.json").write_text('{"other": 1}')
    manifest["files"]["vae/config.json"] = FileEntry.of_file(place / "vae/config.json").model_dump(mode="json")
    (place / "artifact.json").write_text(json.dumps(manifest))
    for read in (lambda: open_artifact(str(place), "model"), lambda: input_digest(str(place))):
        with pytest.raises(BadInput, match=r"artifact\.json: wanted the digest of its files, \w{16}, found \w{16}"):
            read()
