"""`s3://bucket/prefix` taken apart, with the rules of names checked before anything goes over a network."""

import re
from dataclasses import dataclass

from fastgen_k8s.errors import Misdescribed

SCHEME = "s3://"
_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
_ADDRESS_OF_A_MACHINE = re.compile(r"\d+\.\d+\.\d+\.\d+")
_LONGEST_KEY = 1024  # bytes, by S3's own rule
_ROOM_FOR_NAMES = 256  # bytes that the names below a prefix may take


@dataclass(frozen=True)
class Address:
    """A bucket and a prefix in it."""

    bucket: str
    prefix: str  # "" or without a slash at either end

    @classmethod
    def parse(cls, uri: str) -> "Address":
        """The address that a URI names; Misdescribed says which rule it breaks."""
        bucket, slash, prefix = uri.removeprefix(SCHEME).partition("/")
        broken = _broken(uri, bucket, slash, prefix)
        if broken is not None:
            raise Misdescribed(f"{uri!r}: wanted s3://BUCKET/PREFIX, found {broken}")
        return cls(bucket, prefix)

    def key(self, name: str) -> str:
        """The object's key of a name under the prefix."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def name(self, key: str) -> str:
        """The name under the prefix of an object's key."""
        return key.removeprefix(f"{self.prefix}/") if self.prefix else key


def _broken(uri: str, bucket: str, slash: str, prefix: str) -> str | None:
    """The first rule that does not hold, in words."""
    segments = prefix.split("/")
    if not uri.startswith(SCHEME):
        return "another scheme"
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
