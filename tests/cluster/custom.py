"""Kinds that others define: create CustomResourceDefinitions and wait until the API server serves them."""

from collections.abc import Iterable

from tests.cluster.api import Api, Object
from tests.cluster.conditions import holds

_DEFINITIONS = "customresourcedefinitions.v1.apiextensions.k8s.io"


def establish(api: Api, definitions: Iterable[Object]) -> None:
    """Apply them (server-side: JobSet's is too big for kubectl's annotation) and wait until each can be used."""
    names = {api.apply(definition)["metadata"]["name"] for definition in definitions}
    api.watch_until(_DEFINITIONS, lambda state: all(holds(state[name], "Established") for name in names))
