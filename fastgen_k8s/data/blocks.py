"""Samples made in fixed blocks by workers that come and go: a block made twice has the same bytes.

A block is always computed whole, padded at the tail, because batch composition changes bits; its own file is written
last, so that its presence makes it whole.
"""

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence

from fastgen_k8s import log
from fastgen_k8s.artifacts import Cached, FileEntry, Store, Writer, read
from fastgen_k8s.artifacts.manifest import MANIFEST_BYTES, MOST_BYTES, Files, from_json, to_json
from fastgen_k8s.artifacts.progress import Progress
from fastgen_k8s.config import Config
from fastgen_k8s.errors import Misdescribed

_FOLDER = "blocks"
_TELL_EVERY = 1.0  # seconds


class Block(Config):
    """What a finished block holds."""

    files: Files


def make_blocks(writer: Writer, samples: int, size: int, make: Callable[[Sequence[int]], Mapping[str, bytes]]) -> None:
    """Make the blocks that are missing, then name every block's files in the manifest to be.

    `make` is given the samples of a block, always `size` of them: the last sample is repeated at the tail, and what is
    made for a repetition must be the same file.
    """
    blocks, told = math.ceil(samples / size), -math.inf
    for number in order(blocks, random.Random()):
        if not _whole(writer.store, number):
            block = range(number * size, min((number + 1) * size, samples))
            made = _write(writer.store, number, make([*block, *[block[-1]] * (size - len(block))]))
            if told == -math.inf:  # once is enough: blocks are alike
                _check_room(made, len(block), samples, writer.store.uri)
            if time.monotonic() - told > _TELL_EVERY:
                told = time.monotonic()
                _tell(writer.store, len(writer.store.keys(f"{_FOLDER}/")), blocks)
            log.info("block written", block=number, blocks=blocks)
    for number in range(blocks):
        data = read(writer.store, _name(number), MOST_BYTES)
        writer.add(from_json(Block, data, f"{writer.store.uri}/{_name(number)}").files)
        writer.add({_name(number): FileEntry.of(data)})
    _tell(writer.store, blocks, blocks)


def order(blocks: int, chance: random.Random) -> list[int]:
    """The order in which a worker looks at the blocks: one of its own, so that two meet as rarely as chance has it.

    Workers that walk the same way and meet once would go on side by side and make every further block twice.
    """
    return chance.sample(range(blocks), blocks)


def _whole(store: Store, number: int) -> bool:
    """Whether a block was finished and its files are still there: a run may go on long after another ended.

    They are asked for and not read: other workers' blocks are many.
    """
    data = store.get(_name(number), MOST_BYTES)
    if data is None:
        return False
    files = from_json(Block, data, f"{store.uri}/{_name(number)}").files
    torn = next((name for name, entry in files.items() if not Cached(store).holds(name, entry)), None)
    if torn is not None:
        log.warning("block is torn; making it again", block=number, file=torn)
    return torn is None


def _write(store: Store, number: int, files: Mapping[str, bytes]) -> Block:
    """Put the files of a block and the block's own; all of them, as the manifest will name them."""
    for name, data in files.items():
        store.put(name, data)
    block = Block(files={name: FileEntry.of(data) for name, data in files.items()})
    store.put(_name(number), to_json(block))
    return Block(files={**block.files, _name(number): FileEntry.of(to_json(block))})


def _check_room(made: Block, held: int, samples: int, where: str) -> None:
    """Refuse a set that no manifest could name, as soon as one block is made; warn of one that no controller reads."""
    each = len(to_json(made)) / held
    if each * samples > MANIFEST_BYTES:
        most = int(MANIFEST_BYTES / each)
        raise Misdescribed(f"{where}: wanted at most {most:,} samples, as an artifact can name, found {samples:,}")
    if each * samples > MOST_BYTES:
        log.warning("no controller reads a manifest of so many files", samples=samples, most=int(MOST_BYTES / each))


def _tell(store: Store, whole: int, blocks: int) -> None:
    """What runners and controllers read; every worker writes the same at the end."""
    Progress(min(whole, blocks), blocks).put(store)


def _name(number: int) -> str:
    return f"{_FOLDER}/{number:06d}.json"
