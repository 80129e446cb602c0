"""The pipelines of a namespace in a cluster: found by name, listed, changed."""
# pyright: reportMissingTypeStubs=false

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

from kubernetes import config
from kubernetes.config import ConfigException

from fastgen_k8s.config import nearest
from fastgen_k8s.controller.crd import PLURAL
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.kube.api import Api
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.cluster import Cluster
from fastgen_k8s.pipeline.spec import API_VERSION

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Pipelines:
    """The pipelines of one namespace. Every method raises a FastgenError in one line for what it is refused."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api, self.namespace = api, _label("a namespace", namespace)
        self._path = f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}"

    def get(self, name: str) -> Object:
        """The pipeline of that name; BadInput with the nearest one otherwise."""
        found = self.api.find(f"{self._path}/{_label('the name of a pipeline', name)}")
        if found is None:
            names = [str(one["metadata"]["name"]) for one in self.all()]
            raise BadInput(f"{self.namespace}/{name}: wanted a pipeline of this name: {nearest(name, names)}")
        return found

    def all(self) -> list[Object]:
        """Every pipeline there is, by name."""
        found = self.api.find(self._path)
        if found is None:
            raise BadInput(f"{self.api.server}: wanted the kind {PLURAL}, found none: is fastgen_k8s installed there?")
        return sorted(cast("list[Object]", found["items"]), key=lambda one: str(one["metadata"]["name"]))

    def change(self, name: str, body: Mapping[str, Any]) -> None:
        """Replace a part of one (a JSON merge patch)."""
        self.api.patch(f"{self._path}/{name}", body)


def connect(namespace: str | None) -> Pipelines:
    """Those of a namespace; without one, of the kubeconfig's, and if that names none, of our own."""
    return Pipelines(Api(), namespace or _namespace_of_context() or Cluster().namespace)


def _namespace_of_context() -> str | None:
    with suppress(ConfigException):  # there is no kubeconfig: the cluster was found from within
        file = os.environ.get("KUBECONFIG")
        _, active = config.list_kube_config_contexts(**({"config_file": file} if file else {}))  # pyright: ignore
        return cast("Mapping[str, Mapping[str, str]]", active)["context"].get("namespace")
    return None


def _label(what: str, given: str) -> str:
    if not _LABEL.fullmatch(given):
        raise Misdescribed(f"wanted {what} (small letters, digits, dashes), found {given!r}")
    return given
