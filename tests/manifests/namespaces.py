"""A cluster with one namespace of pipelines more, put together as docs/manifests.md says."""

import functools
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from tests.manifests.render import MANIFESTS, Object, kustomize

OURS, FIRST, SECOND = "fastgen-system", "fastgen", "team-b"


def _second(there: str) -> Object:
    """The kustomization of another namespace with a store outside."""
    return {
        "kind": "Kustomization",
        "namespace": SECOND,
        "resources": [f"{there}/namespace", f"{there}/storage/external/namespace"],
    }


def _whole(there: str) -> Object:
    """The kustomization of a cluster with both."""
    word = [{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": f"--namespace={SECOND}"}]
    return {
        "kind": "Kustomization",
        "resources": [f"{there}/base", SECOND],
        "components": [f"{there}/storage/external"],
        "patches": [{"target": {"kind": "Deployment", "name": "fastgen-controller"}, "patch": yaml.safe_dump(word)}],
    }


@functools.cache
def both() -> list[Object]:
    """What is rendered for a cluster with both; shared, so not to be changed."""
    with TemporaryDirectory() as scratch:
        top = Path(scratch).resolve()
        (top / SECOND).mkdir()
        for folder, kustomization in ((top, _whole), (top / SECOND, _second)):
            there = os.path.relpath(MANIFESTS, folder)
            (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization(there)))
        return kustomize(top)
