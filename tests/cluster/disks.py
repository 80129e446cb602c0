"""A node's disk with its images on it: imported once for each set of images, then handed out as hard links.

What containerd keeps of an image is never written again, so nodes may share it; only its databases are copied.
"""

import hashlib
import shutil
import socket
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.cluster import node_files, state
from tests.cluster.build import alone
from tests.cluster.daemons import Daemon, run, start
from tests.cluster.failures import ClusterFailed
from tests.cluster.programs import cache

_PARTIAL = ".partial"
_KEPT = 3  # disks of older images are dropped


def hand_out(archives: Sequence[Path], target: Path) -> None:
    """Make a node's containerd folder that holds these images."""
    disk = _made(archives)
    linked = disk.stat().st_dev == target.parent.stat().st_dev
    run("cp", "--archive", *(["--link"] if linked else []), disk, target)
    for database in target.rglob("*.db"):
        database.unlink()
        shutil.copy2(disk / database.relative_to(target), database)


def import_into(path: Path, archive: Path) -> None:
    """Import a docker archive into a running containerd."""
    run("ctr", "--address", path, "--namespace", "k8s.io", "images", "import", archive)


def accepts(daemon: Daemon, path: Path) -> None:
    """Wait until containerd answers on its socket."""
    daemon.wait(lambda: _connects(path))


def _made(archives: Sequence[Path]) -> Path:
    """The disk with these images, made if it is not there."""
    folder = cache() / "disks"
    disk = folder / _key(archives)
    with alone(f"disk-{disk.name}"):
        if not disk.exists():
            partial = folder / f"{disk.name}{_PARTIAL}"
            shutil.rmtree(partial, ignore_errors=True)
            _fill(partial, archives)
            (partial / "containerd").rename(disk)
            shutil.rmtree(partial)
        disk.touch()
        whole = [path for path in folder.iterdir() if path.suffix != _PARTIAL]
        for old in sorted(whole, key=lambda path: path.stat().st_mtime)[:-_KEPT]:
            shutil.rmtree(old)
    return disk


def _fill(folder: Path, archives: Sequence[Path]) -> None:
    """Import into a containerd that runs for nothing else."""
    folder.mkdir(parents=True)
    (folder / "containerd.toml").write_text(node_files.containerd(folder))
    daemon = start("containerd", ("containerd", f"--config={folder / 'containerd.toml'}"), state.logs() / "disks")
    try:
        accepts(daemon, folder / "containerd.sock")
        for archive in archives:
            import_into(folder / "containerd.sock", archive)
    finally:
        daemon.stop()


def _key(archives: Iterable[Path]) -> str:
    """By what the archives' manifests say: they name configurations by their digests."""
    digest = hashlib.sha256()
    for path in archives:
        with tarfile.open(path) as archive:
            manifest = archive.extractfile("manifest.json")
            if manifest is None:
                raise ClusterFailed(f"{path}: wanted a docker archive, found no manifest.json that is a file")
            digest.update(manifest.read())
    return digest.hexdigest()[:12]


def _connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as caller:
        return caller.connect_ex(str(path)) == 0
