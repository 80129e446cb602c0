"""Kueue's objects for a queue of one place, and JobSets that stand in it."""

from collections.abc import Callable, Mapping

from tests.cluster.api import Object, State
from tests.cluster.cluster import Cluster
from tests.cluster.conditions import conditions, holds
from tests.cluster.jobsets import jobset

WORKLOADS = "workloads.v1beta2.kueue.x-k8s.io"
_GROUP = "kueue.x-k8s.io"
_VERSION = f"{_GROUP}/v1beta2"
ROOM = {"cpu": "150m", "memory": "96Mi"}  # of one JobSet with two trainers
_PRIORITIES = {"low": 10, "high": 1000}


def with_room_for_one(namespace: str, room: Mapping[str, str] = ROOM) -> list[Object]:
    """A flavour, a cluster queue that preempts by priority, a local queue `queue`, and the priorities."""
    resources = [{"name": name, "nominalQuota": quota} for name, quota in room.items()]
    groups = [{"coveredResources": list(room), "flavors": [{"name": "any", "resources": resources}]}]
    spec = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "resourceGroups": groups,
        "preemption": {"withinClusterQueue": "LowerPriority"},
    }
    place = {"name": "queue", "namespace": namespace}
    return [
        {"apiVersion": _VERSION, "kind": "ResourceFlavor", "metadata": {"name": "any"}, "spec": {}},
        {"apiVersion": _VERSION, "kind": "ClusterQueue", "metadata": {"name": namespace}, "spec": spec},
        {"apiVersion": _VERSION, "kind": "LocalQueue", "metadata": place, "spec": {"clusterQueue": namespace}},
        *(
            {"apiVersion": _VERSION, "kind": "WorkloadPriorityClass", "metadata": {"name": name}, "value": value}
            for name, value in _PRIORITIES.items()
        ),
    ]


def with_two_flavours(namespace: str, *labels: Mapping[str, str]) -> list[Object]:
    """The queue of a namespace with a flavour of these labels each, of which each has room for one."""
    names = [f"{namespace}-{number}" for number in range(len(labels))]
    resources = [{"name": name, "nominalQuota": quota} for name, quota in ROOM.items()]
    flavours = [
        {"apiVersion": _VERSION, "kind": "ResourceFlavor", "metadata": {"name": name}, "spec": {"nodeLabels": each}}
        for name, each in zip(names, labels, strict=True)
    ]
    shares = [{"name": name, "resources": resources} for name in names]
    [queue] = [one for one in with_room_for_one(namespace) if one["kind"] == "ClusterQueue"]
    queue["spec"]["resourceGroups"] = [{"coveredResources": list(ROOM), "flavors": shares}]
    return [*flavours, queue]


def no_workloads(namespace: str) -> Object:
    """A quota by which Kueue cannot make a Workload in a namespace: a Kueue that is late."""
    spec = {"hard": {f"count/workloads.{_GROUP}": "0"}}
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": namespace},
        "spec": spec,
    }


def activate(cluster: Cluster, jobset: str, namespace: str, *, active: bool) -> None:
    """Have Kueue admit the JobSet's Workload, or no more."""
    [name] = [name for name, one in cluster.api.list(WORKLOADS, namespace).items() if _owner(one) == jobset]
    cluster.api.merge(WORKLOADS, name, {"spec": {"active": active}}, namespace)


def queued(name: str, namespace: str, command: list[str], priority: str | None = None) -> Object:
    """A JobSet that asks for all the room there is."""
    made = jobset(name, namespace, trainers=2, command=command)
    made["metadata"]["labels"] = {f"{_GROUP}/queue-name": "queue"}
    made["metadata"]["labels"] |= {f"{_GROUP}/priority-class": priority} if priority else {}
    return made


def waiting(name: str) -> Callable[[State], bool]:
    """Whether the workload of a JobSet has been refused its quota for now."""

    def refused(found: State) -> bool:
        ours = [one for one in found.values() if _owner(one) == name]
        return any(_pending(one) and not holds(one, "QuotaReserved") for one in ours)

    return refused


def _owner(workload: Object) -> str:
    return workload["metadata"]["ownerReferences"][0]["name"]


def _pending(workload: Object) -> bool:
    return any(one["type"] == "QuotaReserved" and one["reason"] == "Pending" for one in conditions(workload))
