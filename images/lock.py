"""Pinned packages and the hashes of their files, as uv and pip write them into a requirements file."""

import re
from collections.abc import Iterable, Mapping

from images.engine import EngineFailed

_ENTRY = re.compile(r"^(\S+==[^\s;]+)(?: ;[^\\\n]*)?((?: *\\\n +--hash=sha256:[0-9a-f]{64})*) *$", re.MULTILINE)


def entries(text: str) -> Mapping[str, str]:
    """Each pin (`name==version`) with the words that give its hashes: none where it has none."""
    return dict(_ENTRY.findall(text))


def with_hashes(pins: Iterable[str], locks: Iterable[str]) -> str:
    """Requirements of these pins, with the hashes that the locks have for them; EngineFailed for a pin without."""
    known = {pin: words for lock in locks for pin, words in entries(lock).items() if words}
    lines: list[str] = []
    for pin in pins:
        if pin not in known:
            raise EngineFailed(f"wanted hashes of {pin} in constraints.txt or images/torch.txt, found none")
        lines.append(f"{pin}{known[pin]}\n")
    return "".join(lines)
