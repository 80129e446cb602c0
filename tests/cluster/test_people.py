"""People's commands against a real API server; what a controller would say is written by hand."""

import os
import re
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.controller.children import RETRY
from fastgen_k8s.controller.conditions import ACCEPTED, columns, condition, merge, outcome
from fastgen_k8s.controller.status import Progress, StageStatus, Status
from fastgen_k8s.pipeline.resolve import place as place_of
from fastgen_k8s.training.metrics import Log
from tests.cluster.api import Object, path_of
from tests.cluster.cluster import Cluster
from tests.cluster.custom import establish
from tests.s3_server import Server

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

PIPELINES = "distillationpipelines.v1alpha1.fastgen-k8s.github.io"
PROGRAM = str(Path(sys.executable).parent / "fastgen-k8s")
NOON = "2026-01-02T12:00:00Z"
DIGEST = "d" * 64
KD = "closed_form/gaussian_kd"
KINDS = {"pairs": "pairs", "kd": "train"}
PAIRS = StageStatus(name="pairs", state="Succeeded", attempt=1, startedAt=NOON, finishedAt="2026-01-02T12:01:05Z")
FAILED = StageStatus(name="kd", state="Failed", attempt=2, exitCode=71, exitClass="OutOfMemory", message="found 8 GiB")
RUNNING = StageStatus(
    name="kd", state="Running", attempt=1, nodes=4, nodesReady=3, progress=Progress(step=300, total=400, loss=0.5)
)


@dataclass
class Place:
    """A namespace whose pipelines people look after."""

    cluster: Cluster
    namespace: str

    def environment(self, **more: str) -> dict[str, str]:
        """What a person's shell has."""
        return os.environ | {"KUBECONFIG": str(self.cluster.kubeconfig), "TZ": "UTC"} | more

    def say(self, *words: str, **environment: str) -> tuple[int, str, str]:
        """A command about this namespace; exit code, stdout and stderr."""
        return command(self.environment(**environment), *words, "-n", self.namespace)

    def apply(self, name: str = "shapes", root: str = "s3://bucket/run") -> Object:
        """A pipeline of two stages."""
        stages = [{"name": one, "kind": kind, "experiment": KD} for one, kind in KINDS.items()]
        meta = {"name": name, "namespace": self.namespace}
        made = {"apiVersion": "fastgen-k8s.github.io/v1alpha1", "kind": "DistillationPipeline", "metadata": meta}
        return self.cluster.api.apply(made | {"spec": {"root": root, "stages": stages}})

    def told(self, *stages: StageStatus, name: str = "shapes", **more: object) -> None:
        """Have the controller say this of the stages."""
        found = self.get(name)
        generation = found["metadata"]["generation"]
        succeeded = outcome(stages, generation, suspended=False, late=False)
        said = Status(
            observedGeneration=generation,
            conditions=merge((), [condition(ACCEPTED, "True", "Accepted", "", generation), succeeded], NOON),
            stages=stages,
            columns=columns(stages, succeeded),
        ).model_copy(update=more)
        body = {key: found[key] for key in ("apiVersion", "kind")} | {
            "metadata": {"name": name, "namespace": self.namespace},
            "status": said.model_dump(mode="json", exclude_none=True),
        }
        self.cluster.api.call(
            "PATCH",
            f"{path_of(PIPELINES, self.namespace, name)}/status",
            body,
            kind="application/apply-patch+yaml",
            fieldManager="controller",
            force="true",
        )

    def get(self, name: str = "shapes") -> Object:
        return self.cluster.api.get(PIPELINES, name, self.namespace)


def command(environment: dict[str, str], *words: str) -> tuple[int, str, str]:
    """A command as a person types it."""
    done = subprocess.run([PROGRAM, *words], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def served(api: Cluster) -> Cluster:
    """The API server with our kind."""
    establish(api.api, [yaml.safe_load(Path("manifests/base/crd.yaml").read_text())])
    return api


@pytest.fixture
def place(served: Cluster) -> Iterator[Place]:
    """A namespace of its own."""
    with served.namespace("people") as namespace:
        yield Place(served, namespace)


# --- status ---------------------------------------------------------------------------------------------------------


def test_a_pipeline_that_nobody_has_looked_at_is_drawn(place: Place) -> None:
    place.apply()
    lines = [
        f"{place.namespace}/shapes: no controller has looked at it yet",
        "stage  kind   state    time",
        "pairs  pairs  waiting",
        "kd     train  waiting",
    ]
    assert place.say("status", "shapes") == (0, said(lines), "")


def test_what_the_controller_says_is_drawn_line_by_line(place: Place) -> None:
    place.apply()
    place.told(PAIRS, RUNNING)
    lines = [
        f"{place.namespace}/shapes: Accepted=True (Accepted), Succeeded=Unknown (Running)",
        "Succeeded: running: kd",
        "stage  kind   state      attempt  nodes             began    time",
        "pairs  pairs  succeeded        1         2026-01-02 12:00  65.0 s",
        "kd     train  running          1    3/4                            300/400, loss 0.5",
    ]
    assert place.say("status", "shapes") == (0, said(lines), "")


def said(lines: Sequence[str]) -> str:
    """What is printed of some lines."""
    return "".join(f"{line}\n" for line in lines)


def test_without_a_name_every_pipeline_has_a_line(place: Place) -> None:
    for name in ("shapes", "video"):
        place.apply(name)
    place.told(PAIRS, RUNNING, name="video")
    code, out, err = place.say("status")
    assert (code, err) == (0, "")
    assert [re.split(r"\s{2,}", line)[:-1] for line in out.splitlines()] == [
        ["name", "stage", "progress", "nodes", "loss", "status"],
        ["shapes"],
        ["video", "kd (1/2)", "300/400", "3/4", "0.5", "Running"],
    ]


def test_an_empty_namespace_says_so(place: Place) -> None:
    assert place.say("status") == (0, f"no pipelines in {place.namespace}\n", "")


@contextmanager
def watching(place: Place) -> Generator[tuple[subprocess.Popen[str], Iterator[str]]]:
    """`status --watch` under way, and the lines that it prints."""
    words = [PROGRAM, "status", "shapes", "--watch", "-n", place.namespace]
    out, err = subprocess.PIPE, subprocess.PIPE
    with subprocess.Popen(words, env=place.environment(), stdout=out, stderr=err, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, iter(process.stdout)
        finally:
            process.kill()


def test_a_watch_tells_each_change_and_ends_with_the_pipeline(place: Place) -> None:
    place.apply()
    with watching(place) as (process, lines):
        wait_for(lines, "waiting .*stage=kd")
        place.told(PAIRS, RUNNING)
        wait_for(lines, "running, 3/4 nodes .*stage=kd")
        place.told(PAIRS, RUNNING.model_copy(update={"state": "Succeeded"}))
        rest = list(lines)
        assert process.wait() == 0
    assert not any("\x1b" in line for line in rest)


def wait_for(lines: Iterator[str], pattern: str) -> None:
    """Read until a line matches."""
    assert any(re.search(pattern, line) for line in lines), f"it ended before a line like {pattern!r}"


def test_a_watch_ends_with_the_exit_code_of_the_failed_stage(place: Place) -> None:
    place.apply()
    place.told(PAIRS, FAILED)
    code, out, _ = place.say("status", "shapes", "--watch")
    assert (code, "failed, attempt 2, OutOfMemory (71): found 8 GiB" in out) == (71, True)


def test_a_pipeline_that_is_deleted_ends_its_watch(place: Place) -> None:
    place.apply()
    with watching(place) as (process, lines):
        wait_for(lines, "stage=kd")
        place.cluster.api.delete(PIPELINES, "shapes", place.namespace)
        _, err = process.communicate()
        assert process.returncode == 65
    assert err == f"error: {place.namespace}/shapes: wanted a pipeline of this name: none is known\n"


# --- which namespace ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [True, False])
def test_the_namespace_is_that_of_the_kubeconfig_or_ours(place: Place, tmp_path: Path, named: bool) -> None:
    config = yaml.safe_load(place.cluster.kubeconfig.read_text())
    for one in config["contexts"]:
        one["context"].pop("namespace", None)
        one["context"] |= {"namespace": place.namespace} if named else {}
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    _, out, _ = command(place.environment(KUBECONFIG=str(tmp_path / "config")), "status")
    assert out == f"no pipelines in {place.namespace if named else 'fastgen'}\n"


# --- suspend, resume, retry -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("verb", "wanted"), [("suspend", True), ("resume", False)])
def test_a_pipeline_is_suspended_and_resumed(place: Place, verb: str, wanted: bool) -> None:
    place.apply()
    place.cluster.api.merge(PIPELINES, "shapes", {"spec": {"suspend": not wanted}}, place.namespace)
    code, out, err = place.say(verb, "shapes")
    assert (code, len(out.splitlines()), err, place.get()["spec"]["suspend"]) == (0, 1, "", wanted)
    word = "suspended" if wanted else "not suspended"
    assert out.startswith(f"{place.namespace}/shapes is {word} now: ")
    assert place.say(verb, "shapes") == (0, f"{place.namespace}/shapes is {word} already\n", "")


def test_a_failed_stage_is_asked_to_be_tried_again_each_time_anew(place: Place) -> None:
    place.apply()
    place.told(PAIRS, FAILED)
    asked: list[str] = []
    for _ in range(2):
        done = f"{place.namespace}/shapes: stage kd is to be tried again\n"
        assert place.say("retry", "shapes", "kd") == (0, done, "")
        asked.append(place.get()["metadata"]["annotations"][RETRY])
    assert all(re.fullmatch(r"kd \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", one) for one in asked)
    assert asked[0] < asked[1]


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("kdd", "unknown stage 'kdd' of shapes: did you mean 'kd'?"),
        ("pairs", "stage pairs of shapes: wanted a failed one to try again, found it succeeded"),
    ],
)
def test_a_stage_that_has_not_failed_is_not_tried_again(place: Place, stage: str, said: str) -> None:
    place.apply()
    place.told(PAIRS, FAILED)
    assert place.say("retry", "shapes", stage) == (64, "", f"error: {said}\n")
    assert RETRY not in place.get()["metadata"].get("annotations", {})


# --- logs -----------------------------------------------------------------------------------------------------------


def test_where_pods_are_gone_the_stored_steps_are_read_and_that_is_said(place: Place, s3: Server) -> None:
    root = s3.place()
    log = Log(store_at(place_of(root, "kd", DIGEST)), "0001")
    for step in (1, 2):
        log.add(step, {"step": step, "time": 1.5, "total": 1 / step, "lr/student": 1e-4})
    log.write()
    place.apply(root=root)
    place.told(PAIRS, FAILED.model_copy(update={"job": "shapes-kd-x"}), digests={"kd": DIGEST})
    assert place.say("logs", "shapes", **s3.environment()) == (
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
def test_nothing_to_read_has_its_reason(place: Place, words: Sequence[str], code: int, said: str) -> None:
    place.apply()
    queued = StageStatus(name="kd", state="Queued", attempt=1, job="shapes-kd-x", message="waits for a node")
    place.told(PAIRS, queued)
    assert place.say("logs", "shapes", *words) == (code, "", f"error: {said}\n")


# --- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["status", "logs", "suspend", "resume"])
def test_a_pipeline_that_is_not_there_is_refused_with_the_nearest(place: Place, verb: str) -> None:
    place.apply()
    said = f"error: {place.namespace}/shape: wanted a pipeline of this name: did you mean 'shapes'?\n"
    assert place.say(verb, "shape") == (65, "", said)


def test_a_name_that_can_be_none_is_a_bad_word(place: Place) -> None:
    wanted = "wanted the name of a pipeline (small letters, digits, dashes), found '../pods'"
    assert place.say("suspend", "../pods") == (64, "", f"error: {wanted}\n")


@pytest.mark.parametrize("words", [("status",), ("status", "shapes", "--watch"), ("retry", "shapes", "kd")])
def test_a_server_that_does_not_answer_may_do_so_later(place: Place, tmp_path: Path, words: Sequence[str]) -> None:
    config = yaml.safe_load(place.cluster.kubeconfig.read_text())
    for one in config["clusters"]:
        one["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    code, out, err = place.say(*words, KUBECONFIG=str(tmp_path / "config"))
    assert (code, out, len(err.splitlines())) == (74, "", 1)
    assert err.startswith("error: https://127.0.0.1:1: wanted a Kubernetes API server, found none")
