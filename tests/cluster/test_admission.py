"""A real API server refuses what our policies of admission refuse, says why, and lets everything else through."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastgen_k8s.controller.children import RETRY
from fastgen_k8s.controller.crd import crd
from fastgen_k8s.pipeline.spec import API_VERSION, OBJECT_KIND
from tests.cluster.accounts import as_user
from tests.cluster.api import Api, Object, Refused
from tests.cluster.cluster import Cluster
from tests.cluster.custom import establish
from tests.cluster.webhooks import documents
from tests.manifests import test_admission as offline
from tests.manifests.admission import POLICIES
from tests.manifests.jobs import job
from tests.manifests.render import render

pytestmark = pytest.mark.cluster

NAMESPACE = "fastgen"
PIPELINES, JOBSETS = "distillationpipelines.v1alpha1.fastgen-k8s.github.io", "jobsets.v1alpha2.jobset.x-k8s.io"
POLICY = "validatingadmissionpolicies.v1.admissionregistration.k8s.io"
RBAC = "rbac.authorization.k8s.io"
DRY = {"dryRun": "All"}
STANDING = {"Namespace", "ServiceAccount", "Role", "RoleBinding", "ClusterRole"}
CONTROLLER = offline.CONTROLLER
OPERATOR, ANALYST, STRANGER = "olga", "ana", "sam"  # edits pipelines and jobs; pipelines only; nothing


def pipeline(made: Object, name: str = "tried") -> Object:
    """A pipeline with the spec of another."""
    place = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": API_VERSION, "kind": OBJECT_KIND, "metadata": place, "spec": made["spec"]}


SOUND, MOVING = offline.pipeline({}), offline.pipeline({}, image="fastgen-k8s/trainer:latest")
ON_VOLCANO = offline.pipeline({}, backend="volcano")


def owned() -> Object:
    """A job that says that a pipeline owns it."""
    made = job()
    owner: Object = {"apiVersion": API_VERSION, "kind": OBJECT_KIND, "name": "sound", "uid": "2f9a1f0e"}
    made["metadata"]["ownerReferences"] = [owner | {"controller": True}]
    return made


def bound(person: str, kind: str, to: str) -> Object:
    """A role of the namespace given to a person."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"{person}-{to}", "namespace": NAMESPACE},
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": to},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": person}],
    }


ONLY_PIPELINES: Object = {
    "apiVersion": f"{RBAC}/v1",
    "kind": "Role",
    "metadata": {"name": "only-pipelines", "namespace": NAMESPACE},
    "rules": [
        {"apiGroups": ["fastgen-k8s.github.io"], "resources": ["distillationpipelines"], "verbs": ["create", "patch"]}
    ],
}
PEOPLE = [
    ONLY_PIPELINES,
    bound(ANALYST, "Role", "only-pipelines"),
    bound(OPERATOR, "ClusterRole", "fastgen-pipelines-edit"),
]


@pytest.fixture(scope="module")
def server(api: Cluster) -> Iterator[Cluster]:
    """The base with its policies, people, and two pipelines that are older than the policies: one breaks them."""
    establish(api.api, [crd()])
    base = sorted(render("base"), key=lambda one: one["kind"] != "Namespace")
    for one in (*(one for one in base if one["kind"] in STANDING), *PEOPLE):
        api.api.apply(one)
    for name, made in (("sound", SOUND), ("moving", MOVING)):
        api.api.apply(pipeline(made, name))
    policies = [one for one in base if one["kind"].startswith("ValidatingAdmissionPolicy")]
    for one in policies:
        api.api.apply(one)
    _take_force(api.api)
    yield api
    for name in POLICIES:  # other tests' pipelines are not judged by them
        api.api.delete(f"validatingadmissionpolicybindings.{POLICY.partition('.')[2]}", name)
        api.api.delete(POLICY, name)
    for name in ("sound", "moving"):
        api.api.delete(PIPELINES, name, NAMESPACE)


def _take_force(api: Api) -> None:
    """Return when the server knows each policy: nothing tells when, but that it refuses."""
    lost = pipeline(SOUND)
    lost["metadata"]["annotations"] = {RETRY: "nothing"}
    broken = {OPERATOR: (pipeline(MOVING), lost, owned()), ANALYST: (pipeline(SOUND),), CONTROLLER: (job(),)}
    until = time.monotonic() + 60
    for who, objects in broken.items():
        for made in objects:
            while refusal(as_user(api, who), made) is None:
                assert time.monotonic() < until, f"{made['kind']} of {who}: wanted a refusal, found none"
                time.sleep(0.1)


def refusal(api: Api, made: Object) -> str | None:
    """What the server says against a new object."""
    try:
        api.create(made, **DRY)
    except Refused as refused:
        return str(refused)
    return None


def changed(api: Api, resource: str, name: str, change: Object) -> str | None:
    """What the server says against a change."""
    try:
        api.merge(resource, name, change, NAMESPACE)
    except Refused as refused:
        return str(refused)
    return None


@pytest.mark.parametrize("case", offline.BROKEN)
def test_a_broken_rule_is_named_by_the_server(server: Cluster, case: str) -> None:
    made, message = offline.BROKEN[case]
    assert message in (refusal(server.api, pipeline(made)) or "taken")


@pytest.mark.parametrize("case", offline.SOUND)
def test_what_can_run_is_taken(server: Cluster, case: str) -> None:
    assert refusal(server.api, pipeline(offline.SOUND[case])) is None


@pytest.mark.parametrize("file", offline.PIPELINES, ids=lambda file: file.stem)
def test_our_own_pipelines_are_taken_from_somebody_with_edit(server: Cluster, file: Path) -> None:
    [made] = documents(file)
    assert refusal(as_user(server.api, OPERATOR), made) is None


def test_the_largest_pipeline_is_not_too_dear_to_judge(server: Cluster) -> None:
    far = {f"i{n}": f"s3://bucket/{'x' * 400}" for n in range(32)}
    stages = [
        {"name": f"s{n}", "kind": "report", "experiment": "e", "image": f"{'x' * 500}:1", "inputs": far}
        for n in range(64)
    ]
    assert refusal(server.api, pipeline({"spec": {"root": "s3://bucket/x", "stages": stages}})) is None


WHO: dict[str, tuple[str, Object, str | None]] = {
    "who may create JobSets": (OPERATOR, SOUND, None),
    "who may create pipelines only": (
        ANALYST,
        SOUND,
        "may create jobsets.jobset.x-k8s.io in fastgen, since the controller does so for a pipeline; ana may not",
    ),
    "who may create JobSets, for another backend": (OPERATOR, ON_VOLCANO, "who may create jobs.batch.volcano.sh in"),
    "who may do nothing": (STRANGER, SOUND, 'User "sam" cannot create resource "distillationpipelines"'),
    "a trainer": ("system:serviceaccount:fastgen:fastgen-trainer", SOUND, "cannot create resource"),
    "the controller": (CONTROLLER, SOUND, "cannot create resource"),
}


@pytest.mark.parametrize("case", WHO)
def test_a_pipeline_is_taken_from_who_may_create_its_jobs(server: Cluster, case: str) -> None:
    who, made, message = WHO[case]
    said = refusal(as_user(server.api, who), pipeline(made))
    assert message in said if message and said else said == message, said


def test_who_may_not_create_jobs_changes_no_pipeline_that_would(server: Cluster) -> None:
    said = changed(as_user(server.api, ANALYST), PIPELINES, "sound", {"spec": {"suspend": True}})
    assert said is not None
    assert "ana may not" in said


@pytest.mark.parametrize("name", ["sound", "moving"])
def test_metadata_of_a_pipeline_can_always_be_changed(server: Cluster, name: str) -> None:
    change: Object = {"metadata": {"labels": {"team": "a"}}}
    assert changed(as_user(server.api, ANALYST), PIPELINES, name, change) is None


def test_a_change_of_an_older_pipeline_must_mend_it(server: Cluster) -> None:
    said = changed(server.api, PIPELINES, "moving", {"spec": {"suspend": True}})
    assert said is not None
    assert "wanted a tag of its own" in said


@pytest.mark.parametrize("case", offline.RETRIES)
def test_what_is_to_be_tried_again_is_a_stage(server: Cluster, case: str) -> None:
    retry, allowed = offline.RETRIES[case]
    made = pipeline(SOUND)
    made["metadata"]["annotations"] = {RETRY: retry}
    said = refusal(server.api, made)
    assert (said is None or f"{RETRY}: wanted" in said) and (said is None) == allowed, said


JOBS: dict[str, tuple[str, Object, str | None]] = {
    "by hand": (OPERATOR, job(), None),
    "by hand, as a pipeline's": (OPERATOR, owned(), "take metadata.ownerReferences out of a copy"),
    "by the controller": (CONTROLLER, owned(), None),
    "by the controller, as nobody's": (CONTROLLER, job(), "jobs that a DistillationPipeline controls"),
}


@pytest.mark.parametrize("case", JOBS)
def test_only_the_controller_makes_a_job_that_a_pipeline_owns(server: Cluster, case: str) -> None:
    who, made, message = JOBS[case]
    said = refusal(as_user(server.api, who), made)
    assert message in said if message and said else said == message, said


@pytest.mark.parametrize("shape", offline.SHAPES)
def test_the_controllers_account_makes_no_job(server: Cluster, shape: str) -> None:
    change, message = offline.SHAPES[shape]
    made = offline.made_by_the_controller("jobset")
    made["metadata"]["namespace"] = NAMESPACE
    change(made)
    assert message in (refusal(as_user(server.api, CONTROLLER), made) or "taken")


def test_a_shape_that_the_controller_makes_is_not_changed_into_another(jobs: Cluster) -> None:
    found = jobs.api.get(JOBSETS, "mine", NAMESPACE)["metadata"]
    change: Object = {"metadata": {"ownerReferences": None, "resourceVersion": found["resourceVersion"]}}
    said = changed(as_user(jobs.api, CONTROLLER), JOBSETS, "mine", change)
    assert said is not None
    assert "jobs that a DistillationPipeline controls" in said


@pytest.fixture
def jobs(server: Cluster) -> Iterator[Cluster]:
    """A job of a pipeline and one of nobody."""
    mine, free = owned(), job()
    mine["metadata"]["name"], free["metadata"]["name"] = "mine", "free"
    for made in (mine, free):
        server.api.create(made)
    yield server
    for name in ("mine", "free"):
        server.api.delete(JOBSETS, name, NAMESPACE)


def test_a_pipelines_job_may_be_changed_and_let_go_by_whoever_else_may(jobs: Cluster) -> None:
    somebody = as_user(jobs.api, OPERATOR)
    assert changed(somebody, JOBSETS, "mine", {"spec": {"suspend": True}}) is None
    assert changed(somebody, JOBSETS, "mine", {"metadata": {"ownerReferences": None}}) is None


def test_nobody_but_the_controller_gives_a_pipeline_a_job(jobs: Cluster) -> None:
    change: Object = {"metadata": {"ownerReferences": owned()["metadata"]["ownerReferences"]}}
    said = changed(as_user(jobs.api, OPERATOR), JOBSETS, "free", change)
    assert said is not None
    assert "is made by its controller" in said


def test_the_server_finds_nothing_odd_in_the_expressions(server: Cluster, control_plane: Cluster) -> None:
    def checked(found: Object) -> bool:
        return found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"]

    found = control_plane.watch_until(POLICY, lambda found: all(checked(found[name]) for name in POLICIES))
    warnings = {name: found[name]["status"].get("typeChecking", {}).get("expressionWarnings") for name in POLICIES}
    assert warnings == dict.fromkeys(POLICIES)


EDIT: dict[str, tuple[str, str]] = {
    "pipelines": ("fastgen-k8s.github.io", "distillationpipelines"),
    "JobSets": ("jobset.x-k8s.io", "jobsets"),
}


@pytest.mark.parametrize("case", EDIT)
def test_the_clusters_own_edit_role_has_both(server: Cluster, control_plane: Cluster, case: str) -> None:
    group, resource = EDIT[case]

    def grants(found: Object) -> bool:
        return any(
            resource in rule.get("resources", ()) and group in rule.get("apiGroups", ()) and "create" in rule["verbs"]
            for rule in found["rules"]
        )

    found = control_plane.watch_until(
        f"clusterroles.v1.{RBAC}", lambda found: "edit" in found and grants(found["edit"]), name="edit"
    )
    assert found
