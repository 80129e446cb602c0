"""Artifacts: files under a URI that are whole, with a manifest, or not there."""

from fastgen_k8s.artifacts.artifact import Artifact, Writer, begin, find_artifact, open_artifact
from fastgen_k8s.artifacts.cached import Cached
from fastgen_k8s.artifacts.manifest import FileEntry, Manifest
from fastgen_k8s.artifacts.store import Store, read, store_at

__all__ = [
    "Artifact",
    "Cached",
    "FileEntry",
    "Manifest",
    "Store",
    "Writer",
    "begin",
    "find_artifact",
    "open_artifact",
    "read",
    "store_at",
]
