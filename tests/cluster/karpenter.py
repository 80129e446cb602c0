"""Karpenter's kinds: only the definitions, out of the modules that hold them. No controller of it runs here."""

import json
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import cast

import yaml

from tests.cluster.api import Object
from tests.cluster.build import alone
from tests.cluster.failures import Unavailable
from tests.cluster.programs import cache

MODULES = {
    "sigs.k8s.io/karpenter@v1.15.0": ("karpenter.sh_nodepools.yaml",),
    "github.com/aws/karpenter-provider-aws@v1.15.1": ("karpenter.k8s.aws_ec2nodeclasses.yaml",),
}


def definitions() -> list[Object]:
    """The kinds of our node pools; Unavailable where the modules cannot be fetched."""
    return [cast("Object", yaml.safe_load(text)) for name in MODULES for text in _texts(name)]


def _texts(name: str) -> list[str]:
    kept = cache() / name.replace("/", "_")
    with alone("karpenter"):
        if not kept.is_dir():
            _extract(_fetch(name), MODULES[name], kept)
    return [(kept / file).read_text() for file in MODULES[name]]


def _fetch(name: str) -> Path:
    """The module's archive. They want a newer Go, so the command fails, after it has fetched what is wanted here."""
    if shutil.which("go") is None:
        raise Unavailable("Karpenter's definitions: wanted the Go toolchain on PATH, found none")
    done = subprocess.run(
        ["go", "mod", "download", "-json", name], capture_output=True, text=True, check=False, cwd="/"
    )
    said = json.loads(done.stdout or "{}")
    if "Zip" not in said:
        raise Unavailable(f"{name}: wanted its archive, found {' '.join(str(said.get('Error', done.stderr)).split())}")
    return Path(said["Zip"])


def _extract(archive: Path, files: tuple[str, ...], target: Path) -> None:
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            folder, _, file = name.rpartition("/")
            if file in files and folder.endswith("/pkg/apis/crds"):
                (partial / file).write_bytes(opened.read(name))
    partial.rename(target)
