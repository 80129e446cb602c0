"""`kubectl apply` of a pipeline, on real kubelets: it runs itself to its report, and what breaks ends as it should."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fastgen_k8s.artifacts import open_artifact
from tests.cluster import pods
from tests.cluster.api import Object
from tests.cluster.cluster import Cluster
from tests.cluster.desk import Desk
from tests.cluster.installed import NAMESPACE, Installed, installed, stage, succeeded
from tests.cluster.launched import Place
from tests.cluster.storage import Storage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

MOVING_SHAPES: Object = yaml.safe_load(Path("manifests/pipelines/moving-shapes.yaml").read_text())
GAUSSIAN: Object = yaml.safe_load(Path("manifests/pipelines/closed-form-gaussian.yaml").read_text())


@pytest.fixture(scope="module")
def controller(cluster: Cluster, storage: Storage, place: Place) -> Iterator[Installed]:
    """The base on the cluster; its bucket is that of the module's place."""
    with installed(cluster, storage, place.root) as made:
        yield made


def test_moving_shapes_runs_itself_from_apply_to_its_report(
    controller: Installed, record_property: Callable[[str, object], None]
) -> None:
    began = time.monotonic()
    controller.apply(MOVING_SHAPES, "moving-shapes")
    status = controller.finished("moving-shapes", timeout=1500)
    record_property("seconds", f"{time.monotonic() - began:.0f}")
    print(f"moving-shapes: {time.monotonic() - began:.0f} s")
    assert succeeded(status)["status"] == "True", succeeded(status)
    assert [one["state"] for one in status["stages"]] == ["Succeeded"] * len(MOVING_SHAPES["spec"]["stages"])
    assert "index.html" in open_artifact(stage(status, "report")["artifact"], "report").manifest.files


def test_people_see_what_ran_and_read_what_it_said(controller: Installed, storage: Storage) -> None:
    desk = Desk(controller.cluster, NAMESPACE, storage.environment())
    code, drawn, err = desk.say("status", "moving-shapes")
    assert (code, err) == (0, "")
    done = {line.split()[0] for line in drawn.splitlines() if " succeeded " in line}
    assert done == {one["name"] for one in MOVING_SHAPES["spec"]["stages"]}, drawn
    code, out, err = desk.say("logs", "moving-shapes", "sf")  # its pods are there or not: jobs are kept for a while
    assert (code, "step" in out) == (0, True), (out, err)


def test_applied_again_it_makes_no_pod(controller: Installed) -> None:
    before = controller.get("moving-shapes")

    def patient(spec: Object) -> None:
        spec["ttlSecondsAfterFinished"] = 86_400

    controller.apply(MOVING_SHAPES, "moving-shapes", patient)
    after = controller.finished("moving-shapes")
    assert attempts(after) == attempts(before["status"])
    assert after["digests"] == before["status"]["digests"]


def test_one_setting_of_stage_3_changed_runs_that_stage_and_what_follows(controller: Installed) -> None:
    before = attempts(controller.get("moving-shapes")["status"])

    def shorter(spec: Object) -> None:
        next(one for one in spec["stages"] if one["name"] == "sf")["overrides"] = ["train.steps=20"]

    controller.apply(MOVING_SHAPES, "moving-shapes", shorter)
    status = controller.finished("moving-shapes", timeout=600)
    assert succeeded(status)["status"] == "True", succeeded(status)
    again = {name for name, attempt in attempts(status).items() if attempt > before[name]}
    assert again == {"sf", "sf-samples", "report"}


def training(*overrides: str, **more: Any) -> Object:
    """Conditions, pairs and one training of a task with an exact answer."""
    few = ["pairs.samples_per_prompt=64", "pairs.block_size=64", "pairs.solver_steps=8"]
    first, second, third = (dict(one) for one in GAUSSIAN["spec"]["stages"][:3])
    third |= {"overrides": list(overrides), "execution": {"log_every": 1, "save_every": 20}} | more
    return GAUSSIAN | {"spec": {"stages": [first, second | {"overrides": few}, third]}}


def test_the_loss_of_a_node_and_an_eviction_cost_no_attempt(controller: Installed) -> None:
    cluster = controller.cluster
    if not cluster.machines:
        pytest.skip("the nodes of a cluster that KUBECONFIG names are not this machine's to break")
    controller.apply(training("train.steps=600", "train.global_batch=64"), "faults")
    evicted = at_work(controller, "faults")
    evict: Object = {"apiVersion": "policy/v1", "kind": "Eviction"}
    evict |= {"metadata": {"name": evicted, "namespace": NAMESPACE}}
    cluster.api.call("POST", f"/api/v1/namespaces/{NAMESPACE}/pods/{evicted}/eviction", evict)
    cluster.wait_gone("pods", evicted, NAMESPACE)
    lost = cluster.api.get("pods", at_work(controller, "faults"), NAMESPACE)["spec"]["nodeName"]
    cluster.power_off(lost)
    try:
        status = controller.finished("faults")
    finally:
        cluster.power_on(lost)
    assert succeeded(status)["status"] == "True", succeeded(status)
    assert (stage(status, "kd")["attempt"], stage(status, "kd")["failures"]) == (1, 0)


def test_an_out_of_memory_kill_is_named_with_the_memory_it_had(controller: Installed) -> None:
    controller.apply(training("train.steps=5", "train.global_batch=100000000"), "large")
    status = controller.finished("large")
    found = stage(status, "kd")
    assert (succeeded(status)["reason"], found["exitCode"], found["exitClass"]) == ("StageFailed", 71, "OutOfMemory")
    assert (found["attempt"], "may have 2Gi" in found["message"]) == (1, True), found["message"]


def test_a_stage_that_makes_no_progress_is_ended_and_goes_on_in_another_attempt(controller: Installed) -> None:
    if not controller.cluster.machines:
        pytest.skip("the pods of a cluster that KUBECONFIG names are not this machine's to freeze")
    described = training(
        "train.steps=400",
        "train.global_batch=64",
        progressDeadlineSeconds=60,
        placement={"resource": "cpu_tiny", "grace": 5},
    )
    controller.apply(described, "stalls")
    pod = at_work(controller, "stalls")
    for process in controller.cluster.pids_of(pod, NAMESPACE):
        if process.inner != 1:
            os.kill(process.pid, signal.SIGSTOP)
    controller.wait("stalls", lambda status: stage(status, "kd").get("exitClass") == "Stalled")
    status = controller.finished("stalls")
    assert succeeded(status)["status"] == "True", succeeded(status)
    assert (stage(status, "kd")["attempt"], stage(status, "kd")["failures"]) == (2, 1)


def test_why_a_stage_waits_stands_in_its_status(controller: Installed) -> None:
    controller.apply(training("train.steps=5", placement={"resource": "cpu_tiny", "pool": "training"}), "waits")
    status = controller.wait(
        "waits", lambda status: "waits for a node of pool training" in stage(status, "kd").get("message", "")
    )
    assert "2 node(s) didn't match Pod's node affinity/selector" in stage(status, "kd")["message"]


def attempts(status: Object) -> dict[str, int]:
    """How many jobs each stage has had."""
    return {one["name"]: one["attempt"] for one in status["stages"]}


def at_work(controller: Installed, name: str) -> str:
    """The pod of a training that has written a checkpoint."""
    controller.wait(name, lambda status: stage(status, "kd")["state"] == "Running")
    found = controller.cluster.watch_until(
        "pods", lambda state: any(works(one) for one in state.values()), NAMESPACE,
        selector=f"fastgen-k8s.github.io/pipeline={name}", timeout=120,
    )  # fmt: skip
    pod = next(name for name, one in found.items() if works(one))
    controller.cluster.wait_for_line(pod, r"checkpoint written", NAMESPACE, timeout=120)
    return pod


def works(pod: Object) -> bool:
    """Whether a pod of the training runs and is not asked to go."""
    labels = pod["metadata"]["labels"]
    stage_of = labels.get("fastgen-k8s.github.io/pipeline-stage")
    return stage_of == "kd" and pods.phase(pod) == "Running" and "deletionTimestamp" not in pod["metadata"]
