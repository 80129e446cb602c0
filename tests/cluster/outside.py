"""The trainer's image without a cluster: its root file system unpacked, and its own interpreter run in there."""

import json
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.failures import ClusterFailed

_WHITEOUT = ".wh."
_CHROOT = 'mount --bind /proc "$0/proc" && mount --rbind /dev "$0/dev" && exec /usr/sbin/chroot "$0" "$@"'


def unpack(archive: Path, root: Path) -> None:
    """The layers of a docker archive, one over the other."""
    with tarfile.open(archive) as outer:
        [manifest] = json.load(_member(outer, "manifest.json"))
        for name in manifest["Layers"]:
            with tarfile.open(fileobj=_member(outer, name)) as layer:
                for one in layer:
                    path = root / one.name
                    if path.name.startswith(_WHITEOUT):
                        _gone(path.with_name(path.name.removeprefix(_WHITEOUT)))
                        continue
                    if one.isfile() and path.exists():
                        path.unlink()
                    layer.extract(one, root, filter="fully_trusted")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")  # what every container gets when it starts


def run(root: Path, argv: Sequence[str], environment: Mapping[str, str]) -> None:
    """The image's agent in a chroot, on this machine's network; it must end well."""
    own = {"PATH": "/opt/fastgen/project/bin:/opt/fastgen/venv/bin:/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp"}
    ended = subprocess.run(
        ["unshare", "--mount", "sh", "-c", _CHROOT, str(root), "python", "-m", "fastgen_k8s.agent", *argv],
        env={**own, **environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise ClusterFailed(f"the image's agent outside the cluster ended with {ended.returncode}: {ended.stderr}")


def remove(root: Path) -> None:
    """The unpacked files."""
    shutil.rmtree(root)


def _member(archive: tarfile.TarFile, name: str) -> "tarfile.ExFileObject":
    found = archive.extractfile(name)
    if found is None:
        raise ClusterFailed(f"docker archive: wanted the file {name}, found none")
    return found  # pyright: ignore[reportReturnType]


def _gone(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
