"""Files as accidents and ill will leave them: small changes of valid ones, the same for the same seed."""

import random
import re
from collections.abc import Iterator

_NUMBERS = (0, 1, 127, 128, 255, 256, 65535, 65536, 64 << 20, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)


def mutants(files: dict[str, bytes], seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """`count` times the name of one of the files, and its content with one to three changes."""
    draw = random.Random(seed)
    names = sorted(files)
    for number in range(count):
        name = names[number % len(names)]
        data = files[name]
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            data = draw.choice((_flipped, _flipped, _cut, _twice, _zeroed, _numbered, _numbered, _numbered_text))(
                data, draw
            )
        yield name, data


def _place(data: bytes, draw: random.Random) -> int:
    return draw.randrange(len(data)) if data else 0


def _slice(data: bytes, draw: random.Random) -> tuple[int, int]:
    start = _place(data, draw)
    return start, min(len(data), start + draw.choice((1, 2, 8, 40, 300)))


def _flipped(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.randint(1, 4) if data else 0):
        changed[_place(data, draw)] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _cut(data: bytes, draw: random.Random) -> bytes:
    start, end = _slice(data, draw)
    return draw.choice((data[:start], data[start:], data[:start] + data[end:]))


def _twice(data: bytes, draw: random.Random) -> bytes:
    start, end = _slice(data, draw)
    return data[:end] + data[start:end] * draw.choice((1, 2, 50)) + data[end:]


def _zeroed(data: bytes, draw: random.Random) -> bytes:
    start, end = _slice(data, draw)
    return data[:start] + bytes(end - start) + data[end:]


def _numbered(data: bytes, draw: random.Random) -> bytes:
    """Another number in the place of one, two, four or eight bytes."""
    size, start = draw.choice((1, 2, 4, 8)), _place(data, draw)
    number = draw.choice(_NUMBERS) % (1 << 8 * size)
    return data[:start] + number.to_bytes(size, draw.choice(("little", "big"))) + data[start + size :]


def _numbered_text(data: bytes, draw: random.Random) -> bytes:
    """Another number in the place of one that is written out in digits."""
    written = list(re.finditer(rb"-?\d+", data))
    if not written:
        return _numbered(data, draw)
    found = draw.choice(written)
    return data[: found.start()] + str(draw.choice((*_NUMBERS, -1))).encode() + data[found.end() :]
