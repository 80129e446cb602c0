"""Kinds that others define: create their CustomResourceDefinitions, wait until the API server serves them."""

import time
from collections.abc import Iterable

from tests.cluster.api import Api, Object, Refused
from tests.cluster.conditions import holds
from tests.cluster.failures import ClusterFailed
from tests.cluster.programs import JOBSET, KARPENTER, KUEUE
from tests.cluster.webhooks import documents

_PATIENCE = 60.0  # seconds
_DEFINITIONS = "customresourcedefinitions.v1.apiextensions.k8s.io"


def establish(api: Api, definitions: Iterable[Object]) -> None:
    """Apply them (server-side: JobSet's is too big for kubectl's annotation) and wait until each can be used."""
    made = {found["metadata"]["name"]: found["spec"] for found in map(api.apply, definitions)}
    api.watch_until(_DEFINITIONS, lambda state: all(holds(state[name], "Established") for name in made))
    until = time.monotonic() + _PATIENCE
    for spec in made.values():
        for version in (f"{spec['group']}/{one['name']}" for one in spec["versions"] if one["served"]):
            while not _served(api, version, spec["names"]["kind"]):  # discovery is behind, and can't be watched
                if time.monotonic() > until:
                    raise ClusterFailed(f"{version} {spec['names']['kind']}: wanted a kind that is served, found none")
                time.sleep(0.1)


def _served(api: Api, version: str, kind: str) -> bool:
    try:
        return api.knows(version, kind)
    except Refused as refusal:
        if refusal.status != 404:  # the group itself is not there yet
            raise
        return False


def third_parties() -> list[Object]:
    """The kinds of JobSet, Kueue and Karpenter as they are shipped."""
    folders = (JOBSET.built / "config/crd/bases", KUEUE.built / "config/crd/bases", KARPENTER.fetched)
    return [one for folder in folders for path in sorted(folder.glob("*.yaml")) for one in documents(path)]


def establish_third_parties(api: Api) -> None:
    """Those that are not there: a controller that runs may have changed its own."""
    there = api.list(_DEFINITIONS)
    establish(api, [one for one in third_parties() if one["metadata"]["name"] not in there])
