"""Kinds that others define: create their CustomResourceDefinitions, wait until the API server serves them."""

from collections.abc import Iterable

from tests.cluster.api import Api, Object
from tests.cluster.conditions import holds
from tests.cluster.programs import JOBSET, KARPENTER, KUEUE
from tests.cluster.webhooks import documents

_DEFINITIONS = "customresourcedefinitions.v1.apiextensions.k8s.io"


def establish(api: Api, definitions: Iterable[Object]) -> None:
    """Apply them (server-side: JobSet's is too big for kubectl's annotation) and wait until each can be used."""
    names = {api.apply(definition)["metadata"]["name"] for definition in definitions}
    api.watch_until(_DEFINITIONS, lambda state: all(holds(state[name], "Established") for name in names))


def third_parties() -> list[Object]:
    """The kinds of JobSet, Kueue and Karpenter as they are shipped."""
    folders = (JOBSET.built / "config/crd/bases", KUEUE.built / "config/crd/bases", KARPENTER.fetched)
    return [one for folder in folders for path in sorted(folder.glob("*.yaml")) for one in documents(path)]


def establish_third_parties(api: Api) -> None:
    """Those that are not there: a controller that runs may have changed its own."""
    there = api.list(_DEFINITIONS)
    establish(api, [one for one in third_parties() if one["metadata"]["name"] not in there])
