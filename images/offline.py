"""What a build without network needs, fetched beforehand: a base of Debian's packages, and a folder of wheels."""

import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from images.engine import Engine, EngineFailed
from images.lock import with_hashes

SUITE, PYTHON = "bookworm", "3.11"  # that release's Python
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")
BASE = (
    "mmdebstrap",
    "--quiet",
    "--variant=minbase",
    # usr-is-merged, in a root that is born so, saves usrmerge and with it the whole of Perl.
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    "--include=usr-is-merged,python3,ca-certificates",
    '--aptopt=APT::Install-Recommends "false"',
    *(f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT),
    SUITE,
)
INTERPRETER = f"/usr/bin/python{PYTHON}"


def base_image(engine: Engine, cache: Path) -> str:
    """The name of a base image that the engine has; it is made once for each way of making it."""
    mark = hashlib.sha256("\n".join(BASE).encode()).hexdigest()[:12]
    name, archive = f"fastgen-k8s/base:{SUITE}-{mark}", cache / f"base-{mark}.tar"
    if engine.run(["image", "inspect", name]).returncode == 0:
        return name
    if not archive.exists():
        part = archive.with_suffix(".part.tar")
        _do([*BASE, str(part)])
        part.rename(archive)
    engine.do("import", str(archive), name)
    return name


def wheelhouse(root: Path, extras: Sequence[str], extra_wheels: Path | None) -> None:
    """Fill images/wheels with what the images of these extras install, each file of a hash that we know.

    Nothing to do when that is there already.
    """
    folder, machine = root / "images" / "wheels", platform.machine()
    options = [] if extra_wheels is None else ["--find-links", str(extra_wheels)]
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
    _do(
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


def _do(command: Sequence[str]) -> None:
    if shutil.which(command[0]) is None:
        raise EngineFailed(f"wanted {command[0]} on PATH, found none (.ci/image-packages installs it)")
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        raise EngineFailed(f"wanted {command[0]} to work, found exit code {done.returncode}")
