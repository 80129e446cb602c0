"""People's commands against a real API server; what a controller would say is written by hand."""

import re
import subprocess
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.controller.children import RETRY
from fastgen_k8s.lifecycle.status import StageProgress, StageStatus
from fastgen_k8s.pipeline.resolve import place as place_of
from fastgen_k8s.training.metrics import StepLog
from tests.cluster.cluster import Cluster
from tests.cluster.desk import NOON, PIPELINES, PROGRAM, Desk, command, establish_ours
from tests.s3_server import Server

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

DIGEST = "d" * 64
PAIRS = StageStatus(name="pairs", state="Succeeded", attempt=1, startedAt=NOON, finishedAt="2026-01-02T12:01:05Z")
FAILED = StageStatus(name="kd", state="Failed", attempt=2, exitCode=71, exitClass="OutOfMemory", message="found 8 GiB")
RUNNING = StageStatus(
    name="kd", state="Running", attempt=1, nodes=4, nodesReady=3, progress=StageProgress(step=300, total=400, loss=0.5)
)


@pytest.fixture(scope="module")
def served(api: Cluster) -> Cluster:
    """The API server with our kind."""
    establish_ours(api.api)
    return api


@pytest.fixture
def desk(served: Cluster) -> Iterator[Desk]:
    """A namespace of its own."""
    with served.namespace("people") as namespace:
        yield Desk(served, namespace)


# --- status ---------------------------------------------------------------------------------------------------------


def test_a_pipeline_that_nobody_has_looked_at_is_drawn(desk: Desk) -> None:
    desk.apply()
    lines = [
        f"{desk.namespace}/shapes: no controller has looked at it yet",
        "stage  kind   state    time",
        "pairs  pairs  waiting",
        "kd     train  waiting",
    ]
    assert desk.say("status", "shapes") == (0, said(lines), "")


def test_what_the_controller_says_is_drawn_line_by_line(desk: Desk) -> None:
    desk.apply()
    desk.told(PAIRS, RUNNING)
    lines = [
        f"{desk.namespace}/shapes: Accepted=True (Accepted), Succeeded=Unknown (Running)",
        "Succeeded: running: kd",
        "stage  kind   state      attempt  nodes             began    time",
        "pairs  pairs  succeeded        1         2026-01-02 12:00  65.0 s",
        "kd     train  running          1    3/4                            300/400, loss 0.5",
    ]
    assert desk.say("status", "shapes") == (0, said(lines), "")


def said(lines: Sequence[str]) -> str:
    """What is printed of some lines."""
    return "".join(f"{line}\n" for line in lines)


def test_without_a_name_every_pipeline_has_a_line(desk: Desk) -> None:
    for name in ("shapes", "video"):
        desk.apply(name)
    desk.told(PAIRS, RUNNING, name="video")
    code, out, err = desk.say("status")
    assert (code, err) == (0, "")
    assert [re.split(r"\s{2,}", line)[:-1] for line in out.splitlines()] == [
        ["name", "stage", "progress", "nodes", "loss", "status"],
        ["shapes"],
        ["video", "kd (1/2)", "300/400", "3/4", "0.5", "Running"],
    ]


def test_an_empty_namespace_says_so(desk: Desk) -> None:
    assert desk.say("status") == (0, f"no pipelines in {desk.namespace}\n", "")


@contextmanager
def watching(desk: Desk) -> Generator[tuple[subprocess.Popen[str], Iterator[str]]]:
    """`status --watch` under way, and the lines that it prints."""
    words = [PROGRAM, "status", "shapes", "--watch", "-n", desk.namespace]
    out, err = subprocess.PIPE, subprocess.PIPE
    with subprocess.Popen(words, env=desk.environment(), stdout=out, stderr=err, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, iter(process.stdout)
        finally:
            process.kill()


def test_a_watch_tells_each_change_and_ends_with_the_pipeline(desk: Desk) -> None:
    desk.apply()
    with watching(desk) as (process, lines):
        wait_for(lines, "waiting .*stage=kd")
        desk.told(PAIRS, RUNNING)
        wait_for(lines, "running, 3/4 nodes .*stage=kd")
        desk.told(PAIRS, RUNNING.model_copy(update={"state": "Succeeded"}))
        rest = list(lines)
        assert process.wait() == 0
    assert not any("\x1b" in line for line in rest)


def wait_for(lines: Iterator[str], pattern: str) -> None:
    """Read until a line matches."""
    assert any(re.search(pattern, line) for line in lines), f"it ended before a line like {pattern!r}"


def test_a_watch_ends_with_the_exit_code_of_the_failed_stage(desk: Desk) -> None:
    desk.apply()
    desk.told(PAIRS, FAILED)
    code, out, _ = desk.say("status", "shapes", "--watch")
    assert (code, "failed, attempt 2, OutOfMemory (71): found 8 GiB" in out) == (71, True)


def test_a_pipeline_that_is_deleted_ends_its_watch(desk: Desk) -> None:
    desk.apply()
    with watching(desk) as (process, lines):
        wait_for(lines, "stage=kd")
        desk.cluster.api.delete(PIPELINES, "shapes", desk.namespace)
        _, err = process.communicate()
        assert process.returncode == 65
    assert err == f"error: {desk.namespace}/shapes: wanted a pipeline of this name: none is known\n"


# --- which namespace ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [True, False])
def test_the_namespace_is_that_of_the_kubeconfig_or_ours(desk: Desk, tmp_path: Path, named: bool) -> None:
    config = yaml.safe_load(desk.cluster.kubeconfig.read_text())
    for one in config["contexts"]:
        one["context"].pop("namespace", None)
        one["context"] |= {"namespace": desk.namespace} if named else {}
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    _, out, _ = command(desk.environment(KUBECONFIG=str(tmp_path / "config")), "status")
    assert out == f"no pipelines in {desk.namespace if named else 'fastgen'}\n"


# --- suspend, resume, retry -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("verb", "wanted"), [("suspend", True), ("resume", False)])
def test_a_pipeline_is_suspended_and_resumed(desk: Desk, verb: str, wanted: bool) -> None:
    desk.apply()
    desk.cluster.api.merge(PIPELINES, "shapes", {"spec": {"suspend": not wanted}}, desk.namespace)
    code, out, err = desk.say(verb, "shapes")
    assert (code, len(out.splitlines()), err, desk.get()["spec"]["suspend"]) == (0, 1, "", wanted)
    word = "suspended" if wanted else "not suspended"
    assert out.startswith(f"{desk.namespace}/shapes is {word} now: ")
    assert desk.say(verb, "shapes") == (0, f"{desk.namespace}/shapes is {word} already\n", "")


def test_a_failed_stage_is_asked_to_be_tried_again_each_time_anew(desk: Desk) -> None:
    desk.apply()
    desk.told(PAIRS, FAILED)
    asked: list[str] = []
    for _ in range(2):
        done = f"{desk.namespace}/shapes: stage kd is to be tried again\n"
        assert desk.say("retry", "shapes", "kd") == (0, done, "")
        asked.append(desk.get()["metadata"]["annotations"][RETRY])
    assert all(re.fullmatch(r"kd \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", one) for one in asked)
    assert asked[0] < asked[1]


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("kdd", "unknown stage 'kdd' of shapes: did you mean 'kd'?"),
        ("pairs", "stage pairs of shapes: wanted one that failed or has never worked, found it succeeded"),
    ],
)
def test_a_stage_that_has_not_failed_is_not_tried_again(desk: Desk, stage: str, said: str) -> None:
    desk.apply()
    desk.told(PAIRS, FAILED)
    assert desk.say("retry", "shapes", stage) == (64, "", f"error: {said}\n")
    assert RETRY not in desk.get()["metadata"].get("annotations", {})


# --- logs -----------------------------------------------------------------------------------------------------------


def test_where_pods_are_gone_the_stored_steps_are_read_and_that_is_said(desk: Desk, s3: Server) -> None:
    root = s3.place()
    log = StepLog(store_at(place_of(root, "kd", DIGEST)), "0001")
    for step in (1, 2):
        log.add(step, {"step": step, "time": 1.5, "total": 1 / step, "lr/student": 1e-4})
    log.write()
    desk.apply(root=root)
    desk.told(PAIRS, FAILED.model_copy(update={"job": "shapes-kd-x"}), digests={"kd": DIGEST})
    assert desk.say("logs", "shapes", **s3.environment()) == (
        0,
        "step=1 loss=1 lr/student=0.0001\nstep=2 loss=0.5 lr/student=0.0001\n",
        f"stage kd: its pods are gone, these are its metrics in {place_of(root, 'kd', DIGEST)}\n",
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 65, "stage kd: wanted pods at work, found it queued: waits for a node"),
        (("kdd",), 64, "unknown stage 'kdd': did you mean 'kd'?"),
        (("pairs",), 65, "stage pairs: wanted a place of its artifact, found none: no controller has resolved it"),
    ],
)
def test_nothing_to_read_has_its_reason(desk: Desk, words: Sequence[str], code: int, said: str) -> None:
    desk.apply()
    queued = StageStatus(name="kd", state="Queued", attempt=1, job="shapes-kd-x", message="waits for a node")
    desk.told(PAIRS, queued)
    assert desk.say("logs", "shapes", *words) == (code, "", f"error: {said}\n")


# --- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["status", "logs", "suspend", "resume"])
def test_a_pipeline_that_is_not_there_is_refused_with_the_nearest(desk: Desk, verb: str) -> None:
    desk.apply()
    said = f"error: {desk.namespace}/shape: wanted a pipeline of this name: did you mean 'shapes'?\n"
    assert desk.say(verb, "shape") == (65, "", said)


def test_a_name_that_can_be_none_is_a_bad_word(desk: Desk) -> None:
    wanted = "wanted the name of a pipeline (small letters, digits, dashes), found '../pods'"
    assert desk.say("suspend", "../pods") == (64, "", f"error: {wanted}\n")


@pytest.mark.parametrize("words", [("status",), ("status", "shapes", "--watch"), ("retry", "shapes", "kd")])
def test_a_server_that_does_not_answer_may_do_so_later(desk: Desk, tmp_path: Path, words: Sequence[str]) -> None:
    config = yaml.safe_load(desk.cluster.kubeconfig.read_text())
    for one in config["clusters"]:
        one["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    code, out, err = desk.say(*words, KUBECONFIG=str(tmp_path / "config"))
    assert (code, out, len(err.splitlines())) == (74, "", 1)
    assert err.startswith("error: https://127.0.0.1:1: wanted a Kubernetes API server, found none")
