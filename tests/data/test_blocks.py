"""Blocks of samples: made once, and made again when what is there is not what was written."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import structlog

from fastgen_k8s.artifacts import begin, open_artifact
from fastgen_k8s.artifacts.manifest import MOST_BYTES
from fastgen_k8s.data.blocks import make_blocks
from fastgen_k8s.errors import BadInput, Misdescribed


class Maker:
    """Makes a file a sample, and remembers the blocks that it was asked for."""

    def __init__(self) -> None:
        self.asked: set[int] = set()

    def __call__(self, samples: Sequence[int]) -> dict[str, bytes]:
        self.asked.add(samples[0] // 2)
        return {f"{sample}.txt": str(sample).encode() for sample in samples}


def made(place: Path) -> Maker:
    """Six samples in blocks of two, not yet committed."""
    maker = Maker()
    make_blocks(begin(str(place), "pairs", "d" * 64, {}), 6, 2, maker)
    return maker


def test_blocks_that_are_there_are_not_made_again(tmp_path: Path) -> None:
    assert (made(tmp_path / "a").asked, made(tmp_path / "a").asked) == ({0, 1, 2}, set())


@pytest.mark.parametrize("found", [None, b"", b"9", b"33"], ids=["missing", "empty", "other bytes", "more bytes"])
def test_a_block_whose_files_were_damaged_meanwhile_is_made_again(found: bytes | None, tmp_path: Path) -> None:
    made(tmp_path / "a")
    damaged = tmp_path / "a/3.txt"
    damaged.unlink()
    if found is not None:
        damaged.write_bytes(found)
    assert made(tmp_path / "a").asked == {1}


def test_a_commit_after_damage_verifies(tmp_path: Path) -> None:
    made(tmp_path / "a")
    (tmp_path / "a/3.txt").unlink()
    writer = begin(str(tmp_path / "a"), "pairs", "d" * 64, {})
    make_blocks(writer, 6, 2, Maker())
    writer.commit({})
    artifact = open_artifact(str(tmp_path / "a"), "pairs")
    assert [artifact.read(f"{sample}.txt") for sample in range(6)] == [b"0", b"1", b"2", b"3", b"4", b"5"]


def test_a_set_that_no_manifest_could_name_is_refused_after_its_first_block(tmp_path: Path) -> None:
    maker, writer = Maker(), begin(str(tmp_path / "a"), "pairs", "d" * 64, {})
    with pytest.raises(Misdescribed, match=r"wanted at most [0-9,]+ samples, as an artifact can name, found 4,000,000"):
        make_blocks(writer, 4_000_000, 2, maker)
    assert len(maker.asked) == 1


def test_a_set_whose_manifest_no_controller_reads_is_warned_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastgen_k8s.data.blocks.MOST_BYTES", 500)
    with structlog.testing.capture_logs() as logs:
        make_blocks(begin(str(tmp_path / "a"), "pairs", "d" * 64, {}), 6, 2, Maker())
    assert [one["samples"] for one in logs if one["event"].startswith("no controller reads")] == [6]


def test_a_block_file_that_is_too_large_to_be_one_is_refused(tmp_path: Path) -> None:
    made(tmp_path / "a")
    with (tmp_path / "a/blocks/000001.json").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(BadInput, match=r"000001\.json: wanted at most 16,777,216 bytes"):
        made(tmp_path / "a")
