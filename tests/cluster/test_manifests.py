"""A real API server takes every overlay and pipeline, refuses what is wrong with them, and grants what they say."""

import copy
import hashlib
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fastgen_k8s.controller.crd import crd
from fastgen_k8s.pipeline.spec import API_VERSION, OBJECT_KIND, Pipeline, read_pipeline
from tests.cluster.api import Object, Refused
from tests.cluster.cluster import Cluster
from tests.cluster.custom import establish
from tests.cluster.failures import ClusterFailed
from tests.cluster.programs import program
from tests.cluster.webhooks import documents
from tests.controller.cel import refusals
from tests.controller.test_agreement import BROKEN, CHANGES, SPEC, WHOLE, locally, spec, stage
from tests.manifests.jobs import job
from tests.manifests.render import MANIFESTS, OVERLAYS, render
from tests.manifests.test_pods import BROKEN as BROKEN_PODS
from tests.manifests.test_pods import PODS
from tests.pipeline.files import FILES

pytestmark = pytest.mark.cluster

NOT_TO_BE_HAD = {  # no definition of these kinds can be fetched here: tests/manifests/facts.py is all that checks them
    "cloud.google.com/v1",
    "eks.services.k8s.aws/v1alpha1",
    "iam.cnrm.cloud.google.com/v1beta1",
    "monitoring.coreos.com/v1",
    "s3.services.k8s.aws/v1alpha1",
    "storage.cnrm.cloud.google.com/v1beta1",
}
PIPELINES = sorted((MANIFESTS / "pipelines").glob("*.yaml"))
DRY = {"dryRun": "All", "fieldValidation": "Strict"}
STANDING = {"Namespace", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "PriorityClass"}


@pytest.fixture(scope="module")
def server(kinds: Cluster) -> Cluster:
    """An API server with all kinds that can be had, and of our base what others are judged by."""
    establish(kinds.api, [crd()])
    for made in sorted(render("base"), key=lambda made: made["kind"] != "Namespace"):
        if made["kind"] in STANDING:
            kinds.api.apply(made)
    for namespace in ("fastgen", "fastgen-system"):
        account = {"name": "default", "namespace": namespace}  # a controller's work, and none runs at this level
        kinds.api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    return kinds


@pytest.mark.parametrize("folder", OVERLAYS)
def test_an_overlay_is_taken(server: Cluster, folder: str) -> None:
    for made in render(folder):
        if made["apiVersion"] not in NOT_TO_BE_HAD:
            server.api.apply(made, **DRY)


@pytest.mark.parametrize("version", sorted(NOT_TO_BE_HAD))
def test_what_is_left_out_is_really_unknown(server: Cluster, version: str) -> None:
    made = next(made for folder in OVERLAYS for made in render(folder) if made["apiVersion"] == version)
    with pytest.raises((Refused, ClusterFailed)):
        server.api.apply(made, **DRY)


def test_an_unknown_field_is_seen(server: Cluster) -> None:
    queue = next(made for made in render("components/kueue") if made["kind"] == "ClusterQueue")
    with pytest.raises(Refused, match="flavours"):
        server.api.apply({**queue, "spec": {**queue["spec"], "flavours": []}}, **DRY)


@pytest.mark.parametrize("file", PIPELINES, ids=lambda file: file.stem)
def test_a_pipeline_is_taken(server: Cluster, file: Path) -> None:
    [made] = documents(file)
    assert server.api.apply(made, **DRY)["spec"] == made["spec"]


@pytest.mark.parametrize("file", PIPELINES, ids=lambda file: file.stem)
def test_a_pipeline_can_be_put_there_by_kubectl(server: Cluster, file: Path) -> None:
    assert "(server dry run)" in server.kubectl_text("apply", "--dry-run=server", "-f", str(file))


@pytest.fixture(scope="module")
def judged(server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Object] | None]:
    """The pipelines that the server makes of each file, some at a time; None of one that is refused."""
    folder = tmp_path_factory.mktemp("files")

    def judge(text: str) -> list[Object] | None:
        file = folder / f"{hashlib.sha256(text.encode()).hexdigest()}.yaml"
        file.write_bytes(text.encode())
        try:
            said = server.kubectl("apply", "--dry-run=server", "-f", str(file))
        except ClusterFailed:
            return None
        return [one for one in said.get("items", [said]) if one["kind"] == OBJECT_KIND]

    with ThreadPoolExecutor(4) as some:
        return dict(zip(FILES, some.map(judge, (case.text for case in FILES.values())), strict=True))


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_taken_or_refused_as_on_a_laptop(
    judged: dict[str, list[Object] | None], tmp_path: Path, name: str
) -> None:
    case, there, file = FILES[name], judged[name], tmp_path / "tiny.yaml"
    assert (there is not None) is case.taken_there
    if there is not None and case.said is None:
        file.write_bytes(case.text.encode())
        assert [Pipeline.parse(one["spec"], name) for one in there] == [read_pipeline(file).spec]


def test_a_training_job_is_taken(server: Cluster) -> None:
    server.api.apply(job(), **DRY)


def jobs_of(made: Object) -> dict[str, Object]:
    """The Jobs that a JobSet is made of: an invalid one would never appear, and only an event would say so."""
    place = {"name": "tried", "namespace": "fastgen"}
    given = {one["name"]: one["template"]["spec"] for one in made["spec"]["replicatedJobs"]}
    return {
        name: {"apiVersion": "batch/v1", "kind": "Job", "metadata": place, "spec": copy.deepcopy(spec)}
        for name, spec in given.items()
    }


@pytest.mark.parametrize("role", ["trainer", "rendezvous"])
def test_the_jobs_of_a_training_are_taken(server: Cluster, role: str) -> None:
    server.api.create(jobs_of(job({"deadline": 60}))[role], **DRY)


def test_a_job_whose_exit_codes_are_not_in_order_is_refused(server: Cluster) -> None:
    broken = jobs_of(job())["trainer"]
    broken["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"].reverse()
    with pytest.raises(Refused, match="must be ordered"):
        server.api.create(broken, **DRY)


def pipeline(given: Object, name: str = "tried") -> Object:
    place = {"name": name, "namespace": "fastgen"}
    return {"apiVersion": API_VERSION, "kind": OBJECT_KIND, "metadata": place, "spec": given}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_rule_is_named_by_the_server(server: Cluster, case: str) -> None:
    given, message = BROKEN[case]
    with pytest.raises(Refused) as refused:
        server.api.create(pipeline(given), **DRY)
    assert message in str(refused.value)


@pytest.fixture(scope="module")
def existing(server: Cluster) -> Iterator[Cluster]:
    """A whole pipeline that is there."""
    server.api.apply(pipeline(WHOLE))
    yield server
    server.api.delete("distillationpipelines.v1alpha1.fastgen-k8s.github.io", "tried", "fastgen")


@pytest.mark.parametrize("case", CHANGES)
def test_a_change_is_judged_by_what_was_there(existing: Cluster, case: str) -> None:
    given, allowed = CHANGES[case]
    assert verdict(existing, given, change=True) is allowed


def verdict(cluster: Cluster, given: Object, *, change: bool = False) -> bool:
    """Whether the server takes a pipeline, as a new one or as a change."""
    try:
        if change:
            resource = "distillationpipelines.v1alpha1.fastgen-k8s.github.io"
            version = cluster.api.get(resource, "tried", "fastgen")["metadata"]["resourceVersion"]
            made = pipeline(given)
            made["metadata"]["resourceVersion"] = version
            path = f"/apis/{API_VERSION}/namespaces/fastgen/distillationpipelines/tried"
            cluster.api.call("PUT", path, made, **DRY)
        else:
            cluster.api.create(pipeline(given, "other"), **DRY)
    except Refused as refusal:
        assert refusal.status == 422, refusal
        return False
    return True


def odd(**field: Any) -> Object:
    return spec(stage("a", **field))


ODD: dict[str, Object] = {
    "nothing where nothing is allowed": odd(image=None, deadline=None),
    "a gate of nothing": odd(gate={"loss": {"min": None, "max": None}}),
    "a gate with nothing beside": odd(gate={"loss": {"min": None, "max": 1}}),
    "nodes as a number": odd(placement={"nodes": 3}),
    "nodes of zero": odd(placement={"nodes": 0}),
    "nodes with a newline": odd(placement={"nodes": "1\n"}),
    "more nodes than there are digits": odd(placement={"nodes": "10000"}),
    "a number as text": odd(retries="3"),
    "a whole number with a point": odd(retries=3.0),
    "nodes as a whole number with a point": odd(placement={"nodes": 2.0}),
    "bounds of two types": odd(gate={"loss": {"min": 1, "max": 2.5}}),
    "bounds of two types upside down": odd(gate={"loss": {"min": 3, "max": 2.5}}),
    "a number of nothing": odd(retries=None, gate={"loss": None}),
    "nothing in a list": odd(needs=[None]),
    "a switch as a number": odd(retries=True),
    "part of a retry": odd(retries=1.5),
    "a retry too many": odd(retries=101),
    "a name too long": spec(stage("a" * 41)),
    "a name in capitals": spec(stage("A")),
    "an input of no length": odd(inputs={"prompts": ""}),
    "65 stages": spec(*(stage(f"s{n}") for n in range(65))),
    "no stage": spec(),
}


@pytest.mark.parametrize("case", ODD)
def test_the_offline_check_judges_as_the_server_does(server: Cluster, case: str) -> None:
    there = verdict(server, ODD[case])
    assert (there, there) == (refusals(SPEC, ODD[case]) == [], locally(ODD[case]) is None)


def test_the_largest_pipeline_is_not_too_dear_to_check(server: Cluster) -> None:
    names = [f"{'a' * 37}{n:03d}" for n in range(64)]
    before = [names[max(0, n - 32) : n] for n in range(64)]
    inputs = [{f"i{index}": name for index, name in enumerate(earlier)} for earlier in before]
    largest = [stage(name, "report", needs=before[n], inputs=inputs[n]) for n, name in enumerate(names)]
    assert verdict(server, spec(*largest))
    assert not verdict(server, spec(*largest[1:], largest[0]))
    assert locally(spec(*largest)) is None


def test_status_is_a_subresource_with_a_schema_of_its_own(existing: Cluster) -> None:
    condition = {"type": "Ready", "status": "Maybe", "reason": "R", "message": "", "lastTransitionTime": "now"}
    made = {**pipeline(WHOLE), "status": {"conditions": [condition]}}
    path = f"/apis/{API_VERSION}/namespaces/fastgen/distillationpipelines/tried/status"
    made["metadata"]["resourceVersion"] = existing.api.call("GET", path)["metadata"]["resourceVersion"]
    with pytest.raises(Refused, match="Unsupported value") as refused:
        existing.api.call("PUT", path, made, **DRY)
    assert "lastTransitionTime" in str(refused.value)


def test_people_see_the_columns(existing: Cluster) -> None:
    shown = existing.kubectl_text("get", "dp", "-n", "fastgen", "tried").split("\n")[0].split()
    assert shown == ["NAME", "STAGE", "PROGRESS", "NODES", "LOSS", "STATUS", "AGE"]


def pod(name: str, spec: Object) -> Object:
    """A pod where its account is."""
    namespace = "fastgen-system" if spec.get("serviceAccountName") == CONTROLLER else "fastgen"
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


@pytest.mark.parametrize("name", PODS)
def test_a_pod_is_admitted_where_restricted_is_enforced(server: Cluster, name: str) -> None:
    server.api.create(pod("tried", mounted(PODS[name])), **DRY)


@pytest.mark.parametrize("case", BROKEN_PODS)
def test_a_pod_that_is_not_restricted_is_refused(server: Cluster, case: str) -> None:
    broken = copy.deepcopy(PODS["job: trainer"])
    BROKEN_PODS[case](broken)
    with pytest.raises(Refused, match=r'violates PodSecurity "restricted:v1\.34"|disallowed by cluster policy'):
        server.api.create(pod("tried", broken), **DRY)


def mounted(given: Object) -> Object:
    """A pod's spec with the volumes that its StatefulSet would add."""
    held = {volume["name"] for volume in given["volumes"]}
    wanted = {mount["name"] for one in given["containers"] for mount in one["volumeMounts"]} - held
    claims = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in sorted(wanted)]
    return {**given, "volumes": [*given["volumes"], *claims]}


CONTROLLER, TRAINER = "fastgen-controller", "fastgen-trainer"
HOME = {CONTROLLER: "fastgen-system", TRAINER: "fastgen"}
OURS = "fastgen-k8s.github.io"
ASKED = {
    "the controller watches pipelines": (CONTROLLER, "watch", f"distillationpipelines.{OURS}", "fastgen", True),
    "the controller writes status": (CONTROLLER, "patch", f"distillationpipelines/status.{OURS}", "fastgen", True),
    "the controller changes no pipeline": (CONTROLLER, "patch", f"distillationpipelines.{OURS}", "fastgen", False),
    "the controller makes jobs": (CONTROLLER, "create", "jobsets.jobset.x-k8s.io", "fastgen", True),
    "the controller removes an old pipeline": (CONTROLLER, "delete", f"distillationpipelines.{OURS}", "fastgen", True),
    "the controller says what happened": (CONTROLLER, "create", "events", "fastgen", True),
    "the controller makes a lease": (CONTROLLER, "create", "leases.coordination.k8s.io", "fastgen-system", True),
    "the controller takes no lease of others": (
        CONTROLLER,
        "update",
        "leases.coordination.k8s.io",
        "fastgen-system",
        False,
    ),
    "the controller makes no lease elsewhere": (CONTROLLER, "create", "leases.coordination.k8s.io", "fastgen", False),
    "the controller makes no job beside itself": (
        CONTROLLER,
        "create",
        "jobsets.jobset.x-k8s.io",
        "fastgen-system",
        False,
    ),
    "the controller makes no pod beside itself": (CONTROLLER, "create", "pods", "fastgen-system", False),
    "the controller reads no secrets beside itself": (CONTROLLER, "get", "secrets", "fastgen-system", False),
    "the controller reads no logs": (CONTROLLER, "get", "pods/log", "fastgen", False),
    "the controller reads no secrets": (CONTROLLER, "get", "secrets", "fastgen", False),
    "the controller lists no secrets": (CONTROLLER, "list", "secrets", "fastgen", False),
    "the controller deletes no pods": (CONTROLLER, "delete", "pods", "fastgen", False),
    "the controller enters no pods": (CONTROLLER, "create", "pods/exec", "fastgen", False),
    "the controller sees no other namespace": (CONTROLLER, "list", "pods", "default", False),
    "the controller sees no pipelines elsewhere": (CONTROLLER, "list", f"distillationpipelines.{OURS}", "", False),
    "a trainer reads nothing": (TRAINER, "get", "pods", "fastgen", False),
    "a trainer makes nothing": (TRAINER, "create", f"distillationpipelines.{OURS}", "fastgen", False),
}


@pytest.mark.parametrize("case", ASKED)
def test_the_server_grants_what_is_meant(server: Cluster, case: str) -> None:
    account, verb, target, namespace, allowed = ASKED[case]
    whole, _, group = target.partition(".")
    resource, _, sub = whole.partition("/")
    asked = {"namespace": namespace, "verb": verb, "group": group, "resource": resource, "subresource": sub}
    user = f"system:serviceaccount:{HOME[account]}:{account}"
    review = {"spec": {"user": user, "resourceAttributes": asked}}
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    assert server.api.call("POST", path, review)["status"]["allowed"] is allowed


@pytest.mark.parametrize(("pool", "tainted"), [("training", True), ("spot", True), ("cpu", False)])
def test_a_node_joins_a_pool(server: Cluster, pool: str, tainted: bool) -> None:
    name = f"joins-{pool}"
    server.api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    try:
        for _ in range(2):  # the second time changes nothing
            join(server, pool, name)
        found = server.api.get("nodes", name)
    finally:
        server.api.delete("nodes", name)
    taints = [taint["key"] for taint in found["spec"].get("taints", ()) if taint["key"] == "nvidia.com/gpu"]
    assert (found["metadata"]["labels"]["fastgen-k8s.github.io/pool"], bool(taints)) == (pool, tainted)


def join(server: Cluster, *arguments: str) -> None:
    path = f"{program('kubectl').parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"KUBECONFIG": str(server.kubeconfig), "PATH": path}
    script = MANIFESTS / "nodepools/generic/join.sh"
    subprocess.run([script, *arguments], env=environment, check=True, capture_output=True)
