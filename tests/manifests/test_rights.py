"""Who may do what: the exact list, so that a right more is a diff of this file."""

from typing import Any, cast

import pytest

from tests.manifests.render import OVERLAYS, Object, render

PIPELINES, JOBSETS = "fastgen-k8s.github.io/distillationpipelines", "jobset.x-k8s.io/jobsets"
CONTROLLER = {
    PIPELINES: "get list watch delete",
    f"{PIPELINES}/status": "get patch",
    f"{PIPELINES}/finalizers": "update",
    JOBSETS: "get list watch create patch delete",
    "batch/jobs": "get list watch",
    "/pods": "get list watch",
    "/events": "get list create patch",
    "coordination.k8s.io/leases": "create",
    "coordination.k8s.io/leases fastgen-controller": "get update",
}


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
    assert rights(of_kind("Role")["fastgen-controller"]) == CONTROLLER


@pytest.mark.parametrize("folder", OVERLAYS)
def test_no_role_has_a_wildcard_or_reads_secrets(folder: str) -> None:
    granted = [
        right
        for kind in ("Role", "ClusterRole")
        for role in of_kind(kind, folder).values()
        for right in rights(role).items()
    ]
    assert [right for right in granted if "*" in "".join(right) or "/secrets" in right[0]] == []


@pytest.mark.parametrize("folder", OVERLAYS)
def test_nobody_is_bound_beyond_the_namespace(folder: str) -> None:
    assert of_kind("ClusterRoleBinding", folder) == {}


@pytest.mark.parametrize("folder", OVERLAYS)
def test_only_the_controller_is_bound(folder: str) -> None:
    subjects: list[Any] = [who for bound in of_kind("RoleBinding", folder).values() for who in bound["subjects"]]
    assert {(who["kind"], who["name"], who["namespace"]) for who in subjects} == {
        ("ServiceAccount", "fastgen-controller", "fastgen")
    }


@pytest.mark.parametrize("account", ["fastgen-trainer", "fastgen-controller"])
def test_no_pod_gets_a_token_by_naming_an_account(account: str) -> None:
    assert of_kind("ServiceAccount")[account]["automountServiceAccountToken"] is False


@pytest.mark.parametrize("mode", ["enforce", "audit", "warn"])
def test_the_namespace_holds_its_pods_to_restricted_of_a_fixed_version(mode: str) -> None:
    labels = of_kind("Namespace")["fastgen"]["metadata"]["labels"]
    found = labels[f"pod-security.kubernetes.io/{mode}"], labels[f"pod-security.kubernetes.io/{mode}-version"]
    assert found == ("restricted", "v1.34")


def test_pairs_preempt_nobody_and_go_first_and_the_controller_last() -> None:
    classes = of_kind("PriorityClass")
    values = [classes[f"fastgen-{name}"]["value"] for name in ("pairs", "training", "interactive", "controller")]
    assert (values, classes["fastgen-pairs"]["preemptionPolicy"]) == (sorted(values), "Never")
