"""What torch.load may be given: a file whose pickle makes plain tensors and whose sizes are those of the file itself.

What a file claims is compared with what it holds before any memory is taken for it.
"""

import io
import pickle
import re
import struct
import zipfile
from collections.abc import Mapping
from typing import BinaryIO, cast

from fastgen_k8s.networks.plain_pickle import PickleRefused, Window, read_pickle
from fastgen_k8s.networks.pth_calls import ALLOWED, check_calls, storages

_ZIP = b"PK\x03\x04"
_BESIDE = {"data.pkl", "version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id"}
_MAGIC, _LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of files from before torch 1.6


def check_pth(file: Window) -> None:
    """Refused, or one of UNREADABLE, for a file that is not to be given to torch."""
    if file.read(len(_ZIP)) == _ZIP:
        _check_zip(file)
    else:
        file.seek(0)
        _check_legacy(file)


def _check_zip(file: Window) -> None:
    with zipfile.ZipFile(cast("BinaryIO", file)) as archive:
        entries = archive.infolist()
        if archive.comment or not entries or min(entry.header_offset for entry in entries) != 0:
            raise PickleRefused("an archive that torch did not write")
        root, sizes = entries[0].filename.partition("/")[0], dict[str, int]()
        for entry in entries:
            name = entry.filename.removeprefix(f"{root}/")
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
                raise PickleRefused(f"a compressed entry, {name[:60]!r}")
            if name not in _BESIDE and not re.fullmatch(r"data/[0-9a-z_]+", name):
                raise PickleRefused(f"an archive with an entry of its own, {name[:60]!r}")
            if name in sizes:
                raise PickleRefused(f"two entries {name[:60]!r}")
            sizes[name] = entry.file_size
        if (claimed := sum(sizes.values())) > file.length:
            raise PickleRefused(f"entries of {claimed} bytes in a file of {file.length}")
        said = read_pickle(io.BytesIO(archive.read(f"{root}/data.pkl")), ALLOWED)
    check_held(storages(said), sizes)
    check_calls(said)


def check_held(stored: Mapping[str, tuple[int, int]], sizes: Mapping[str, int]) -> None:
    """Refused where the entries of an archive are smaller than the storages that lie in them."""
    for key, (item, count) in stored.items():
        if item * count > (held := sizes.get(f"data/{key}", 0)):
            raise PickleRefused(f"a tensor's {item * count} bytes where there are {held}")


def _check_legacy(file: Window) -> None:
    if file.read(1) != pickle.PROTO:
        raise ValueError("wanted a pickle")
    file.seek(0)
    if read_pickle(file, ()).value != _MAGIC or read_pickle(file, ()).value != _LEGACY_PROTOCOL:
        raise ValueError("wanted a file of torch's")
    read_pickle(file, ())  # of the machine that wrote it
    said = read_pickle(file, ALLOWED)
    keys, stored = read_pickle(file, ()).value, storages(said)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in cast("list[object]", keys)):
        raise PickleRefused("tensors without a list of their keys")
    if sorted(cast("list[str]", keys)) != sorted(stored):
        raise PickleRefused("other tensors than those that it lists")
    for key in cast("list[str]", keys):
        item, wanted = stored[key]
        (count,) = struct.unpack("<q", file.read(8))
        if count != wanted or file.tell() + count * item > file.length:
            raise PickleRefused(
                f"a tensor's {wanted} numbers where there are {count}, in a file of {file.length} bytes"
            )
        file.seek(file.tell() + count * item)
    check_calls(said)
