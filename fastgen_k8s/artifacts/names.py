"""What a manifest may say: digests that are digests, names that stay below their artifact, sizes that there can be.

Both become paths, of the node's cache and of the artifact's folder, before anything that they name was looked at.
"""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from fastgen_k8s.errors import BadInput

LONGEST_NAME = 1024  # letters; S3 takes no more bytes
MOST_FILES = 1 << 21
LARGEST_FILE = 1 << 46  # bytes, 64 TiB
TEMPORARY = ".tmp-"  # what a file's name begins with while it is written

_ANY = r"[^/\\\x00-\x1f\x7f-\x9f\ud800-\udfff]"
_FIRST = r"[^./\\\x00-\x1f\x7f-\x9f\ud800-\udfff]"
_SEGMENT = rf"(?:\.{{0,2}}{_FIRST}|\.{{3}}){_ANY}*"  # all but nothing, "." and ".."
_NAME = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_DIGEST = re.compile("[0-9a-f]{64}")
_WANTED = "wanted the name of a file below its artifact"


def is_name(text: str) -> bool:
    """Whether a text names something below a folder.

    It has no empty segment, no `.` or `..`, no backslash, no control, and nothing that UTF-8 cannot hold.
    """
    return len(text) <= LONGEST_NAME and _NAME.fullmatch(text) is not None


def is_sha256(text: str) -> bool:
    """Whether a text is a sha256 as we write it."""
    return _DIGEST.fullmatch(text) is not None


def below(folder: Path, name: str) -> Path:
    """The path of a name below a folder; BadInput for what leads elsewhere."""
    if not is_name(name):
        raise BadInput(f"{folder}: {_WANTED}, found {name[:LONGEST_NAME]!r}")
    return folder / name


def _named(text: str) -> str:
    if not is_name(text):
        raise ValueError(_WANTED)
    return text


def _part(text: str) -> str:
    if not is_name(text) or "/" in text:
        raise ValueError("wanted one part of a file's name")
    return text


Sha256 = Annotated[str, Field(pattern=f"^{_DIGEST.pattern}$", max_length=64)]
FileName = Annotated[str, Field(max_length=LONGEST_NAME), AfterValidator(_named)]
FilePart = Annotated[str, Field(max_length=255), AfterValidator(_part)]
Size = Annotated[int, Field(ge=0, le=LARGEST_FILE)]  # bytes
