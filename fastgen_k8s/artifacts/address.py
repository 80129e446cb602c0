"""Places as people write them: which are on this machine, and those in buckets taken apart before any request."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastgen_k8s.errors import Misdescribed

SCHEMES: Mapping[str, str] = {"s3": "fastgen_k8s.artifacts.s3:S3"}
"""Where a place can be but on this machine: the word before its `://`, and the class of such stores.

It is loaded by its name when a place of the kind is opened: boto3 takes its time, and few commands need it.
"""
WANTED = " or ".join(f"{scheme}://BUCKET/PREFIX" for scheme in SCHEMES)
_LOCAL = "file://"
_VARIABLE = re.compile(r"\$\{[^}]*\}")
_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
_ADDRESS_OF_A_MACHINE = re.compile(r"\d+\.\d+\.\d+\.\d+")
_LONGEST_KEY = 1024  # bytes, by S3's own rule
_ROOM_FOR_NAMES = 256  # bytes that the names below a prefix may take


def is_remote(place: str) -> bool:
    """Whether a place is in a bucket, and not on this machine."""
    scheme, separator, _ = place.partition("://")
    return bool(separator) and scheme in SCHEMES


def path_of(place: str) -> Path:
    """Where a place of this machine is; raises as `expanded`."""
    return Path(expanded(place).removeprefix(_LOCAL))


def check_place(place: str) -> None:
    """Raise Misdescribed for a place with a variable in it: no shell has read it, and a folder would have its name."""
    found = _VARIABLE.search(place)
    if found:
        raise Misdescribed(
            f"{place!r}: wanted a place, found the variable {found[0]} in it, which nobody replaces here"
        )


def expanded(place: str) -> str:
    """A place with a person's own folder for `~/`, where it is one of this machine; raises as `check_place`."""
    check_place(place)
    path = place.removeprefix(_LOCAL)
    if path != "~" and not path.startswith("~/"):
        return place
    try:
        return place.removesuffix(path) + str(Path(path).expanduser())
    except RuntimeError as error:
        raise Misdescribed(f"{place!r}: wanted a person's own folder (HOME), found none") from error


@dataclass(frozen=True)
class Address:
    """A bucket and a prefix in it."""

    scheme: str
    bucket: str
    prefix: str  # "" or without a slash at either end

    @classmethod
    def parse(cls, uri: str) -> "Address":
        """The address that a URI names; Misdescribed says which rule it breaks."""
        scheme, _, path = uri.partition("://")
        bucket, slash, prefix = path.partition("/")
        broken = _broken(bucket, slash, prefix) if is_remote(uri) else "another scheme"
        if broken is not None:
            raise Misdescribed(f"{uri!r}: wanted {WANTED}, found {broken}")
        return cls(scheme, bucket, prefix)

    @property
    def uri(self) -> str:
        """The place as people write it."""
        return f"{self.scheme}://{self.bucket}/{self.prefix}".removesuffix("/")

    def key(self, name: str) -> str:
        """The object's key of a name under the prefix."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def name(self, key: str) -> str:
        """The name under the prefix of an object's key."""
        return key.removeprefix(f"{self.prefix}/") if self.prefix else key


def _broken(bucket: str, slash: str, prefix: str) -> str | None:
    """The first rule that does not hold, in words."""
    segments = prefix.split("/")
    if not _BUCKET.fullmatch(bucket) or _ADDRESS_OF_A_MACHINE.fullmatch(bucket):
        return f"the bucket {bucket!r}: 3 to 63 small letters, digits, dots and dashes"
    if (slash and not prefix) or prefix.endswith("/"):
        return "a '/' at the end"
    if slash and not all(segments):
        return "an empty segment"
    if any(segment in (".", "..") for segment in segments):
        return "a segment '.' or '..'"
    if not prefix.isprintable():
        return "a control character"
    if len(prefix.encode()) > _LONGEST_KEY - _ROOM_FOR_NAMES:
        return f"a prefix of {len(prefix.encode())} bytes: at most {_LONGEST_KEY - _ROOM_FOR_NAMES}"
    return None
