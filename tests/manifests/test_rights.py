"""Who may do what: the exact list, so that a right more is a diff of this file."""

from typing import cast

import pytest

from tests.manifests.render import COMPONENTS, OVERLAYS, STANDALONE, Object, render

PIPELINES, JOBSETS = "fastgen-k8s.github.io/distillationpipelines", "jobset.x-k8s.io/jobsets"
VCJOBS, WORKLOADS = "batch.volcano.sh/jobs", "kueue.x-k8s.io/workloads"
CONTROLLER = {
    PIPELINES: "get list watch delete",
    f"{PIPELINES}/status": "get patch",
    JOBSETS: "get list watch create patch delete",
    "batch/jobs": "get list watch",
    "/pods": "get list watch",
    "/events": "get list create patch",
}
AT_HOME = {
    "coordination.k8s.io/leases": "create",
    "coordination.k8s.io/leases fastgen-controller": "get update",
}
WITH_KUEUE = {WORKLOADS: "get list watch"}
WITH_VOLCANO = {VCJOBS: "get list watch create patch delete"}
VIEWERS, EDITORS = (f"rbac.authorization.k8s.io/aggregate-to-{role}" for role in ("view", "edit"))
PEOPLE: dict[tuple[str, str], dict[str, str]] = {
    ("base", VIEWERS): {
        PIPELINES: "get list watch",
        f"{PIPELINES}/status": "get list watch",
        JOBSETS: "get list watch",
    },
    ("base", EDITORS): {PIPELINES: "create update patch delete", JOBSETS: "create update patch delete"},
    ("components/kueue", VIEWERS): {WORKLOADS: "get list watch", "kueue.x-k8s.io/localqueues": "get list watch"},
    ("components/kueue", EDITORS): {WORKLOADS: "patch"},
    ("components/volcano", VIEWERS): {VCJOBS: "get list watch"},
    ("components/volcano", EDITORS): {VCJOBS: "create update patch delete", "bus.volcano.sh/commands": "create"},
}
OURS, JOBS = "fastgen-system", "fastgen"
ACCOUNT = {"kind": "ServiceAccount", "name": "fastgen-controller", "namespace": OURS}


def rights(role: Object) -> dict[str, str]:
    """What a role grants: `group/resource[ name]` -> verbs."""
    found: dict[str, str] = {}
    for rule in cast("list[dict[str, list[str]]]", role["rules"]):
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames", [""]):
                    found[f"{group}/{resource} {name}".strip()] = " ".join(rule["verbs"])
    return found


def of_kind(kind: str, folder: str = "base") -> dict[str, Object]:
    """The objects of a kind, by name."""
    return {made["metadata"]["name"]: made for made in render(folder) if made["kind"] == kind}


def test_the_controller_has_exactly_these_rights() -> None:
    assert rights(of_kind("ClusterRole")["fastgen-controller"]) == CONTROLLER


def test_in_its_own_namespace_the_controller_may_keep_its_lease_and_nothing_else() -> None:
    assert [rights(role) for role in of_kind("Role").values()] == [AT_HOME]
    assert of_kind("Role")["fastgen-controller"]["metadata"]["namespace"] == OURS


@pytest.mark.parametrize(("name", "wanted"), [("kueue", WITH_KUEUE), ("volcano", WITH_VOLCANO)])
def test_a_component_adds_what_it_needs_to_the_controllers_rights(name: str, wanted: dict[str, str]) -> None:
    assert rights(of_kind("ClusterRole", f"components/{name}")["fastgen-controller"]) == CONTROLLER | wanted


@pytest.mark.parametrize(("folder", "label"), PEOPLE)
def test_people_get_exactly_these_rights_with_view_and_edit(folder: str, label: str) -> None:
    before = of_kind("ClusterRole").keys() if folder != "base" else {"fastgen-controller"}
    added = of_kind("ClusterRole", folder).keys() - before
    roles = [of_kind("ClusterRole", folder)[name] for name in added]
    found = [rights(role) for role in roles if role["metadata"]["labels"].get(label) == "true"]
    assert found == [PEOPLE[folder, label]]


@pytest.mark.parametrize("folder", [*STANDALONE, *COMPONENTS])
def test_no_role_has_a_wildcard_or_reads_secrets(folder: str) -> None:
    granted = [
        right
        for kind in ("Role", "ClusterRole")
        for role in of_kind(kind, folder).values()
        for right in rights(role).items()
    ]
    assert [right for right in granted if "*" in "".join(right) or "/secrets" in right[0]] == []


@pytest.mark.parametrize("folder", [*STANDALONE, *COMPONENTS])
def test_nobody_is_bound_to_the_whole_cluster(folder: str) -> None:
    assert of_kind("ClusterRoleBinding", folder) == {}


@pytest.mark.parametrize("folder", ["base", *OVERLAYS, *COMPONENTS])
def test_only_the_controller_is_bound_and_in_its_own_namespace_to_its_lease_alone(folder: str) -> None:
    bound = {
        made["metadata"]["namespace"]: (made["roleRef"]["kind"], made["roleRef"]["name"], made["subjects"])
        for made in render(folder)
        if made["kind"] == "RoleBinding"
    }
    name = "fastgen-controller"
    assert bound == {OURS: ("Role", name, [ACCOUNT]), JOBS: ("ClusterRole", name, [ACCOUNT])}


def test_the_controllers_account_is_where_no_pipeline_is() -> None:
    accounts = {made["metadata"]["name"]: made for made in render("base") if made["kind"] == "ServiceAccount"}
    found = {name: made["metadata"]["namespace"] for name, made in accounts.items()}
    assert found == {"fastgen-controller": OURS, "fastgen-trainer": JOBS}


@pytest.mark.parametrize("account", ["fastgen-trainer", "fastgen-controller"])
def test_no_pod_gets_a_token_by_accident(account: str) -> None:
    assert of_kind("ServiceAccount")[account]["automountServiceAccountToken"] is False


@pytest.mark.parametrize("namespace", [OURS, JOBS])
@pytest.mark.parametrize("mode", ["enforce", "audit", "warn"])
def test_a_namespace_holds_its_pods_to_restricted_of_a_fixed_version(mode: str, namespace: str) -> None:
    labels = of_kind("Namespace")[namespace]["metadata"]["labels"]
    found = labels[f"pod-security.kubernetes.io/{mode}"], labels[f"pod-security.kubernetes.io/{mode}-version"]
    assert found == ("restricted", "v1.34")


def test_pairs_preempt_nobody_and_go_first_and_the_controller_last() -> None:
    classes = of_kind("PriorityClass")
    values = [classes[f"fastgen-{name}"]["value"] for name in ("pairs", "training", "interactive", "controller")]
    assert (values, classes["fastgen-pairs"]["preemptionPolicy"]) == (sorted(values), "Never")
