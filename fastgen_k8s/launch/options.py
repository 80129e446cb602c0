"""What `torchx run -cfg` takes for a cluster, on every backend: the fields of `Cluster`, as TorchX has them."""
# pyright: reportMissingTypeStubs=false

from collections.abc import Mapping
from typing import Any

from torchx.specs import CfgVal, runopts

from fastgen_k8s.launch.cluster import Cluster

_TYPES: Mapping[str, type[CfgVal]] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "array": list[str],
    "object": dict[str, str],
}


def options() -> runopts:
    """The options with their defaults and meanings."""
    known = runopts()
    fields: dict[str, dict[str, Any]] = Cluster.model_json_schema()["properties"]
    for name, field in fields.items():
        kind = field["type"] if "type" in field else field["anyOf"][0]["type"]
        default = None if kind in ("array", "object") else field["default"]
        if name != "labels":
            known.add(name, _TYPES[kind], field["description"], default)
    return known


def cluster(given: Mapping[str, CfgVal]) -> Cluster:
    """The checked value of some options; Misdescribed for the first that is wrong."""
    words: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if "tolerations" in words:
        words["tolerations"] = [_toleration(text) for text in words["tolerations"]]
    return Cluster.parse(words, "-cfg")


def _toleration(text: str) -> dict[str, str]:
    taint, _, effect = text.partition(":")
    key, _, value = taint.partition("=")
    return {name: word for name, word in {"key": key, "value": value, "effect": effect}.items() if word}
