"""Blocks of samples: made once, and made again when what is there is not what was written."""

import heapq
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import structlog

from fastgen_k8s.artifacts import begin, open_artifact
from fastgen_k8s.artifacts.manifest import MOST_BYTES
from fastgen_k8s.artifacts.s3_client import client
from fastgen_k8s.data.blocks import make_blocks, order
from fastgen_k8s.errors import BadInput, Misdescribed
from tests.s3_server import Server


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


def test_a_block_that_was_damaged_where_it_lies_shows_when_it_is_read(tmp_path: Path) -> None:
    writer = begin(str(tmp_path / "a"), "pairs", "d" * 64, {})
    made(tmp_path / "a")
    with (tmp_path / "a/3.txt").open("r+b") as file:
        file.write(b"9")
    make_blocks(writer, 6, 2, Maker())
    writer.commit({})
    with pytest.raises(BadInput, match=r"3\.txt: wanted sha256 \w{16}, found \w{16}"):
        open_artifact(str(tmp_path / "a"), "pairs").read("3.txt")


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
        make_blocks(writer, 4_000_000, 400, maker)
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


# --- shared by workers ------------------------------------------------------------------------------------------------

BLOCKS = 256
SPEEDS: dict[str, Callable[[int, random.Random], float]] = {  # seconds that a worker needs for a block
    "in step": lambda worker, chance: 1.0,
    "as it comes": lambda worker, chance: chance.uniform(0.8, 1.2),
    "one is slow": lambda worker, chance: 5.0 if worker == 0 else 1.0,
}


def blocks_made(workers: int, speed: Callable[[int, random.Random], float], chance: random.Random) -> int:
    """How many blocks workers make that begin together: each looks for the next in its order that is not there yet."""
    orders = [iter(order(BLOCKS, chance)) for _ in range(workers)]
    there, count = dict.fromkeys(range(BLOCKS), math.inf), 0  # when each block is there
    free = [(0.0, worker) for worker in range(workers)]
    while free:
        now, worker = heapq.heappop(free)
        block = next((block for block in orders[worker] if there[block] > now), None)
        if block is not None:
            count += 1
            ready = now + speed(worker, chance)
            there[block] = min(there[block], ready)
            heapq.heappush(free, (ready, worker))
    assert max(there.values()) < math.inf
    return count


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("workers", [2, 4, 10])
def test_workers_that_share_a_set_make_few_blocks_twice(workers: int, speed: str) -> None:
    counts = [blocks_made(workers, SPEEDS[speed], random.Random(seed)) for seed in range(20)]
    assert max(counts) <= 1.3 * BLOCKS


def test_an_order_names_every_block_once() -> None:
    assert sorted(order(BLOCKS, random.Random(0))) == list(range(BLOCKS))


def large(samples: Sequence[int]) -> dict[str, bytes]:
    """A MiB a sample."""
    return {f"samples/{sample}": bytes([sample]) * (1 << 20) for sample in samples}


def bytes_read() -> int:
    """What this process has read of files so far."""
    return int(dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())["rchar"])


def test_what_others_made_in_a_folder_is_not_read_back(tmp_path: Path) -> None:
    place = str(tmp_path / "a")
    make_blocks(begin(place, "pairs", "d" * 64, {}), 6, 2, large)
    writer, before = begin(place, "pairs", "d" * 64, {}), bytes_read()
    make_blocks(writer, 6, 2, Maker())
    assert bytes_read() - before < 1 << 19  # of six MiB
    assert len(writer.files) == 9


def test_what_others_made_in_a_bucket_is_not_read_back(s3: Server) -> None:
    place, asked = s3.place(), list[str]()
    make_blocks(begin(place, "pairs", "d" * 64, {}), 6, 2, large)

    def remember(params: dict[str, str], **_: object) -> None:
        asked.append(params["Key"].rpartition(place.rpartition("/")[2] + "/")[2])

    client().meta.events.register("provide-client-params.s3.GetObject", remember)
    try:
        maker = Maker()
        make_blocks(begin(place, "pairs", "d" * 64, {}), 6, 2, maker)
    finally:
        client().meta.events.unregister("provide-client-params.s3.GetObject", remember)
    assert maker.asked == set()
    assert {key for key in asked if not key.startswith("blocks/")} <= {"work.json"}


def test_a_folder_on_a_file_system_without_attributes_is_asked_by_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("os.setxattr", refused)
    monkeypatch.setattr("os.getxattr", refused)
    assert (made(tmp_path / "a").asked, made(tmp_path / "a").asked) == ({0, 1, 2}, set())
    (tmp_path / "a/3.txt").write_bytes(b"9")
    assert made(tmp_path / "a").asked == {1}
