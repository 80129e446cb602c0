"""Builds the cluster's programs into the cache. What is there is not built again."""

import fcntl
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from tests.cluster.failures import ClusterFailed
from tests.cluster.programs import Definitions, Module, cache


@contextmanager
def alone(name: str) -> Generator[None]:
    """One process of this machine at a time may make what `name` stands for; others wait and then find it made."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(module: Module) -> bool:
    """Build a module's programs unless they are there; whether anything was built."""
    with alone(module.name):
        if module.built.is_dir():
            return False
        partial = module.built.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        (partial / "bin").mkdir(parents=True)
        for package, name in module.binaries.items():
            how = ("-p", "2", "-ldflags", module.ldflags, "-o", str(partial / "bin" / name))
            _go(module.source, "build", *how, package)
        for name, (source, folder) in module.data.items():
            _keep(Path(_go(module.source, "list", "-m", "-f", "{{.Dir}}", source).strip()) / folder, partial / name)
        partial.rename(module.built)
    return True


def fetch(wanted: Definitions) -> bool:
    """Take definitions out of a module's archive unless they are there; whether they were fetched.

    The module may ask for a newer Go than there is: the command then fails, but says where the archive is.
    """
    with alone(wanted.fetched.name):
        if wanted.fetched.is_dir():
            return False
        named = f"{wanted.module}@{wanted.version}"
        said = _go(cache(), "mod", "download", "-json", named, check=False)
        found = cast(dict[str, str], json.loads(said))
        if found.get("Sum") != wanted.checksum:
            raise ClusterFailed(f"{named}: wanted {wanted.checksum}, found {found.get('Sum') or found.get('Error')}")
        partial = wanted.fetched.with_name(f"{wanted.fetched.name}.partial")
        partial.mkdir(exist_ok=True)
        with zipfile.ZipFile(found["Zip"]) as archive:
            for name in archive.namelist():
                if name.startswith(f"{named}/{wanted.folder}/") and name.endswith(".yaml"):
                    (partial / Path(name).name).write_bytes(archive.read(name))
        partial.rename(wanted.fetched)
    return True


def _go(folder: Path, *arguments: str, check: bool = True) -> str:
    """Run the Go command in a folder: the same bytes on every machine, out of the way of whoever else works here."""
    environment = os.environ | {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-trimpath -buildvcs=false -mod=readonly",
        "GOTOOLCHAIN": "local",
    }
    command = ["nice", "-n", "10", "go", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=check)
    return done.stdout


def _keep(source: Path, target: Path) -> None:
    """Copy a folder out of the read-only module cache."""
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    for folder in (target, *(p for p in target.rglob("*") if p.is_dir())):
        folder.chmod(0o755)
