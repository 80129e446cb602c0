"""What a build without network installs, fetched beforehand: a folder of wheels."""

import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from images.engine import EngineFailed
from images.lock import with_hashes

PYTHON = "3.11"  # the bases'


def wheelhouse(root: Path, extras: Sequence[str], own: Path | None) -> None:
    """Fill images/wheels with what the images of these extras install, each file of a hash that we know.

    Wheels of the caller's own folder count as the index's. Nothing to do when all is there already.
    """
    folder, machine = root / "images" / "wheels", platform.machine()
    options = [] if own is None else ["--find-links", str(own)]
    locks = [(root / name).read_text() for name in ("constraints.txt", "images/torch.txt")]
    pins = [_pinned(root, extra, f"{machine}-manylinux_2_28", options) for extra in extras]
    wanted = [with_hashes(each.splitlines(), locks) for each in pins]
    wanted.append((root / "images" / "tools.txt").read_text())
    key = hashlib.sha256("\n".join(wanted).encode()).hexdigest()
    mark = folder / "complete"
    if mark.exists() and mark.read_text() == key:
        return
    empty(folder)
    lists = [folder / f"{number}.txt" for number in range(len(wanted))]
    for path, text in zip(lists, wanted, strict=True):
        path.write_text(text)
    platforms = [f"--platform={tag}_{machine}" for tag in ("manylinux_2_28", "manylinux_2_17", "manylinux2014")]
    do(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"),
            "--require-hashes",
            *(f"--python-version={PYTHON}", *platforms, *options, "--dest", str(folder)),
            *(word for path in lists for word in ("-r", str(path))),
        ]
    )
    mark.write_text(key)


def empty(folder: Path) -> None:
    """Leave no wheel of another build behind."""
    for path in folder.iterdir():
        if path.name != ".gitignore":
            path.unlink()


def _pinned(root: Path, extra: str, system: str, options: Sequence[str]) -> str:
    """Every package that an extra installs, with its version."""
    command = [
        *(str(Path(sys.executable).parent / "uv"), "pip", "compile", "pyproject.toml", "--quiet", "--no-header"),
        *("--no-annotate", "--extra", extra, "--constraints", "constraints.txt"),
        *("--python-version", PYTHON, "--python-platform", system, *options),
    ]
    done = subprocess.run(command, cwd=root, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise EngineFailed(f"wanted the packages of the extra {extra!r}, found exit code {done.returncode} of uv")
    return done.stdout


def do(command: Sequence[str]) -> None:
    """Run a program whose output matters only when it fails."""
    if shutil.which(command[0]) is None:
        raise EngineFailed(f"wanted {command[0]} on PATH, found none (.ci/image-packages installs it)")
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        raise EngineFailed(f"wanted {command[0]} to work, found exit code {done.returncode}")
