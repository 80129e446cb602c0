"""A docker archive written without Docker: layers that are tar files already, a configuration, a name."""

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Image:
    """What an image says of itself. The tag must not be `latest`, or a kubelet would always pull it."""

    name: str
    user: str = "10001"
    environment: dict[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()


def write(image: Image, layers: Sequence[Path], target: Path) -> None:
    """Pack the layers, the lowest first, under the image's name."""
    digests = [_sha256(layer) for layer in layers]
    config = json.dumps(_config(image, digests)).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    members = [f"{digest}/layer.tar" for digest in digests]
    manifest = json.dumps([{"Config": name, "RepoTags": [image.name], "Layers": members}]).encode()
    partial = target.with_suffix(".partial")
    with tarfile.open(partial, "w") as archive:
        for layer, member in zip(layers, members, strict=True):
            archive.add(layer, member)
        for member, data in ((name, config), ("manifest.json", manifest)):
            _add(archive, member, data)
    partial.rename(target)


def single_file(source: Path, name: str, target: Path) -> None:
    """A layer of one program."""
    with tarfile.open(target, "w") as layer:
        layer.add(source, name, filter=_plain)


def _config(image: Image, digests: Sequence[str]) -> dict[str, Any]:
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "User": image.user,
            "Env": [f"{name}={value}" for name, value in image.environment.items()],
            "Entrypoint": list(image.entrypoint),
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
    }


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Everything belongs to root and can be read by all; times stay, or compiled Python would be stale."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
