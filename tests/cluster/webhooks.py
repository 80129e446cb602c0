"""Admission and conversion webhooks of controllers that run beside the API server: by URL instead of by Service."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import yaml

from tests.cluster.api import Object

Keep = Callable[[Object], bool]


def documents(path: Path) -> list[Object]:
    """The objects of a YAML file."""
    return [cast(Object, one) for one in yaml.load_all(path.read_text(), yaml.CSafeLoader) if one]


def by_url(configuration: Object, name: str, port: int, bundle: str, keep: Keep) -> Object:
    """A webhook configuration under another name, with the hooks worth keeping, each reached by address."""
    hooks = [
        {**hook, "clientConfig": _address(hook["clientConfig"]["service"]["path"], port, bundle)}
        for hook in cast(Iterable[Object], configuration["webhooks"])
        if keep(hook)
    ]
    return {**configuration, "metadata": {"name": name}, "webhooks": hooks}


def converted_by_url(definition: Object, port: int, bundle: str) -> Object:
    """A CRD whose versions are converted by the controller at that port."""
    webhook = {"clientConfig": _address("/convert", port, bundle), "conversionReviewVersions": ["v1"]}
    spec: dict[str, Any] = {**definition["spec"], "conversion": {"strategy": "Webhook", "webhook": webhook}}
    return {**definition, "spec": spec}


def _address(path: str, port: int, bundle: str) -> Object:
    return {"url": f"https://127.0.0.1:{port}{path}", "caBundle": bundle}
