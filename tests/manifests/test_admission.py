"""What admission refuses of a pipeline is what the launcher would refuse later, said earlier."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fastgen_k8s.controller.children import RETRY
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.launch.launch import check_image
from tests.launch.rendered import BACKENDS, pods, rendered
from tests.manifests.admission import POLICIES, refusals
from tests.manifests.render import MANIFESTS, Object, render

PIPELINES = sorted((MANIFESTS / "pipelines").glob("*.yaml"))


def pipeline(stage: dict[str, Any], **spec: Any) -> Object:
    """A pipeline of one stage `kd`."""
    stages = [{"name": "kd", "kind": "train", "experiment": "e", **stage}]
    return {"spec": {"root": "s3://bucket/x", "stages": stages, **spec}}


def said(made: Object, before: Object | None = None) -> list[str]:
    return refusals("fastgen-pipelines", made, before)


def refused_by_the_launcher(image: str) -> bool:
    try:
        check_image(image)
    except Misdescribed:
        return True
    return False


images = st.lists(st.sampled_from([*"ab:/@.-\n5", "latest", "@sha256:", "registry:5000/", ":1"]), max_size=8)


@given(images.map("".join))
def test_an_image_is_refused_where_the_launcher_would_refuse_it(image: str) -> None:
    assert bool(said(pipeline({}, image=image))) == refused_by_the_launcher(image)


@given(images.map("".join))
def test_the_image_of_a_stage_is_judged_as_the_pipelines(image: str) -> None:
    assert bool(said(pipeline({"image": image}))) == refused_by_the_launcher(image)


STAGE = "wanted the name of a stage and perhaps a time behind it, found"
TAG = "wanted a tag of its own (not latest) or a digest, found"
PLACE = "wanted an earlier stage or a place that every pod reaches (s3://...), found"
BROKEN: dict[str, tuple[Object, str]] = {
    "an image that moves": (pipeline({}, image="trainer:latest"), f'image of the pipeline: {TAG} "trainer:latest"'),
    "an image without a tag, of a registry with a port": (
        pipeline({"image": "registry:5000/trainer"}),
        f'image of stage kd: {TAG} "registry:5000/trainer"',
    ),
    "an input of somebody's disk": (
        pipeline({"inputs": {"teacher": "/home/me/teacher"}}),
        f'stage kd, input teacher: {PLACE} "/home/me/teacher"',
    ),
    "an input beside the file": (
        pipeline({"inputs": {"pairs": "pairs.d"}}),
        f'stage kd, input pairs: {PLACE} "pairs.d"',
    ),
    "an input of another store": (
        pipeline({"inputs": {"teacher": "gs://bucket/teacher"}}),
        f'stage kd, input teacher: {PLACE} "gs://bucket/teacher"',
    ),
}
SOUND: dict[str, Object] = {
    "nothing said": pipeline({}),
    "no image of its own": pipeline({"image": None}),
    "a digest": pipeline({}, image="registry:5000/trainer@sha256:0123"),
    "a tag and a digest": pipeline({}, image="trainer:latest@sha256:0123"),
    "inputs that every pod reaches": pipeline(
        {"inputs": {"pairs": "s3://bucket/pairs", "teacher": "examples/teacher", "student": "file://examples/student"}}
    ),
}


@pytest.mark.parametrize(("made", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_rule_says_where_what_was_wanted_and_found(made: Object, message: str) -> None:
    assert said(made) == [message]


@pytest.mark.parametrize("made", SOUND.values(), ids=SOUND)
def test_what_can_run_is_let_through(made: Object) -> None:
    assert said(made) == []


@pytest.mark.parametrize("made", [made for made, _ in BROKEN.values()], ids=BROKEN)
def test_an_older_pipeline_that_breaks_a_rule_can_still_be_let_go(made: Object) -> None:
    assert said({**made, "metadata": {"finalizers": []}}, made) == []


@pytest.mark.parametrize("made", [made for made, _ in BROKEN.values()], ids=BROKEN)
def test_a_change_that_breaks_a_rule_is_refused_as_a_new_one_is(made: Object) -> None:
    assert said(made, pipeline({})) == said(made)


def asking(retry: str) -> Object:
    """A pipeline that asks for a stage to be tried again."""
    return {**pipeline({}), "metadata": {"annotations": {RETRY: retry}}}


RETRIES: dict[str, tuple[str, bool]] = {
    "a stage": ("kd", True),
    "a stage and a time": ("kd 2026-01-01T00:00:00Z", True),
    "no stage": ("kdd", False),
    "nothing": ("", False),
    "more than a status can hold": (f"kd {'x' * 251}", False),
}


@pytest.mark.parametrize(("retry", "allowed"), RETRIES.values(), ids=RETRIES)
def test_what_is_to_be_tried_again_is_a_stage(retry: str, allowed: bool) -> None:
    before: Object = {**pipeline({}), "metadata": {}}
    for found in (refusals("fastgen-retries", asking(retry)), refusals("fastgen-retries", asking(retry), before)):
        assert found == ([] if allowed else [f'{RETRY}: {STAGE} "{retry}"'])


def test_an_older_wish_is_not_judged_again() -> None:
    assert refusals("fastgen-retries", asking("gone"), asking("gone")) == []


CONTROLLER = "system:serviceaccount:fastgen-system:fastgen-controller"
OWNED: Object = {
    "ownerReferences": [
        {
            "apiVersion": "fastgen-k8s.github.io/v1alpha1",
            "kind": "DistillationPipeline",
            "name": "a",
            "uid": "2f9a1f0e",
            "controller": True,
        }
    ]
}


def made_by_the_controller(backend: str) -> Object:
    """A job of two trainers that meet, as the controller makes it."""
    found = rendered(backend, nodes="2", resource="h100_8", processes=8, pool="training")
    return found | {"metadata": found["metadata"] | copy.deepcopy(OWNED)}


def spec_of(made: Object) -> Any:
    """The spec of a job's trainers."""
    return pods(made)["trainer"]["spec"]


def container_of(made: Object) -> Any:
    return spec_of(made)["containers"][0]


SHAPES: dict[str, tuple[Callable[[Object], object], str]] = {
    "of nobody": (lambda made: made["metadata"].pop("ownerReferences"), "a DistillationPipeline controls"),
    "of a pipeline that does not control it": (
        lambda made: made["metadata"]["ownerReferences"][0].pop("controller"),
        "a DistillationPipeline controls",
    ),
    "of another account": (lambda made: spec_of(made).update(serviceAccountName="default"), "of the account fastgen"),
    "of no account": (lambda made: spec_of(made).pop("serviceAccountName"), "of the account fastgen-trainer"),
    "with a token": (lambda made: spec_of(made).update(automountServiceAccountToken=True), "without its token"),
    "with a token, perhaps": (lambda made: spec_of(made).pop("automountServiceAccountToken"), "without its token"),
    "in the node's network": (lambda made: spec_of(made).update(hostNetwork=True), "found a node's"),
    "among the node's processes": (lambda made: spec_of(made).update(hostPID=True), "found a node's"),
    "with a node's folder": (
        lambda made: spec_of(made)["volumes"].append({"name": "a", "hostPath": {"path": "/"}}),
        "found a node's",
    ),
    "with a Secret as files": (
        lambda made: spec_of(made)["volumes"].append({"name": "a", "secret": {"secretName": "a"}}),
        "a secret or a token",
    ),
    "with a token as a file": (
        lambda made: spec_of(made)["volumes"].append({"name": "a", "projected": {"sources": []}}),
        "a secret or a token",
    ),
    "privileged": (lambda made: container_of(made)["securityContext"].update(privileged=True), "without privileges"),
    "that may get privileges": (
        lambda made: container_of(made)["securityContext"].update(allowPrivilegeEscalation=True),
        "without privileges",
    ),
    "that is privileged before it begins": (
        lambda made: spec_of(made).update(initContainers=[{"name": "a", "securityContext": {"privileged": True}}]),
        "without privileges",
    ),
    "with another Secret": (
        lambda made: container_of(made)["envFrom"].append({"secretRef": {"name": "a"}}),
        "the Secret fastgen-s3 alone",
    ),
    "with a value of another Secret": (
        lambda made: container_of(made)["env"].append(
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "a"}}}
        ),
        "the Secret fastgen-s3 alone",
    ),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_controllers_account_makes_no_job(shape: str, backend: str) -> None:
    change, message = SHAPES[shape]
    made = made_by_the_controller(backend)
    change(made)
    [said] = refusals("fastgen-controller", made, user=CONTROLLER)
    assert message in said
    assert refusals("fastgen-controller", made) == []  # of others, it is for others to judge


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_controllers_account_makes_the_jobs_that_the_launcher_renders(backend: str) -> None:
    assert refusals("fastgen-controller", made_by_the_controller(backend), user=CONTROLLER) == []


@pytest.mark.parametrize("file", PIPELINES, ids=lambda file: file.stem)
def test_our_own_pipelines_pass(file: Path) -> None:
    assert said(yaml.safe_load(file.read_text())) == []


def test_every_policy_is_in_force_and_holds_when_it_cannot_be_asked() -> None:
    bound = {
        made["spec"]["policyName"]: made["spec"]["validationActions"]
        for made in render("base")
        if made["kind"] == "ValidatingAdmissionPolicyBinding"
    }
    assert bound == {name: ["Deny"] for name in POLICIES}
    assert {policy["failurePolicy"] for policy in POLICIES.values()} == {"Fail"}
