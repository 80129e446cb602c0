"""Which connections NetworkPolicies let through, decided from the rendered objects.

An evaluator of the API's words: nothing here or in the test cluster enforced a policy.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.manifests.render import Object, render

Part = Mapping[str, Any]

SPACES: dict[str, dict[str, str]] = {
    made["metadata"]["name"]: made["metadata"]["labels"] for made in render("base") if made["kind"] == "Namespace"
}


@dataclass(frozen=True)
class End:
    """One end of a connection: a pod, or an address outside the cluster."""

    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    namespace: str | None = None  # None: no pod
    address: str = "10.244.0.9"
    ports: Mapping[str, int] = field(default_factory=dict[str, int])  # named ones

    @property
    def space(self) -> dict[str, str]:
        """The labels of its namespace: Kubernetes' own, and what ours have."""
        return SPACES.get(self.namespace or "", {}) | {"kubernetes.io/metadata.name": self.namespace or ""}


def allowed(policies: Sequence[Object], source: End, target: End, port: int, protocol: str = "TCP") -> bool:
    """Whether both ends let a connection through: the source's egress and the target's ingress."""
    leaves = _passes(policies, source, "Egress", target, target, port, protocol)
    return leaves and _passes(policies, target, "Ingress", source, target, port, protocol)


def _passes(policies: Sequence[Object], pod: End, way: str, other: End, target: End, port: int, protocol: str) -> bool:
    """Unless policies of this way select the pod everything passes; else what any of their rules lets through."""
    if pod.namespace is None:
        return True
    mine = [policy for policy in policies if _applies(policy, pod, way)]
    rules = [rule for policy in mine for rule in policy["spec"].get(way.lower(), ())]
    peers = "to" if way == "Egress" else "from"
    return not mine or any(
        _meets(rule.get(peers), other, pod.namespace) and _at(rule.get("ports"), target, port, protocol)
        for rule in rules
    )


def _applies(policy: Object, pod: End, way: str) -> bool:
    spec = policy["spec"]
    return (
        policy["metadata"]["namespace"] == pod.namespace
        and way in spec["policyTypes"]
        and selects(spec["podSelector"], pod.labels)
    )


def _meets(peers: Sequence[Part] | None, other: End, namespace: str) -> bool:
    return not peers or any(_is(peer, other, namespace) for peer in peers)


def _is(peer: Part, other: End, namespace: str) -> bool:
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        ranges = [block["cidr"], *block.get("except", ())]
        inside = [ipaddress.ip_address(other.address) in ipaddress.ip_network(one) for one in ranges]
        return inside[0] and not any(inside[1:])
    if other.namespace is None:
        return False
    if "namespaceSelector" not in peer and other.namespace != namespace:
        return False
    return selects(peer.get("namespaceSelector", {}), other.space) and selects(
        peer.get("podSelector", {}), other.labels
    )


def _at(ports: Sequence[Part] | None, target: End, port: int, protocol: str) -> bool:
    return not ports or any(_is_port(one, target, port, protocol) for one in ports)


def _is_port(one: Part, target: End, port: int, protocol: str) -> bool:
    first = target.ports.get(one["port"]) if isinstance(one["port"], str) else int(one["port"])
    return one["protocol"] == protocol and first is not None and first <= port <= int(one.get("endPort", first))


def selects(selector: Part, labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects labels."""
    plain = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return plain and all(_matches(one, labels) for one in selector.get("matchExpressions", ()))


def _matches(expression: Part, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values", ())
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case operator:
            raise AssertionError(f"an operator that labels do not have: {operator}")
