"""What a generation has seen of its inputs is what its jobs are told to expect."""

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from fastgen_k8s.artifacts import FileEntry, begin, read, store_at
from fastgen_k8s.artifacts.manifest import MANIFEST
from fastgen_k8s.artifacts.progress import FILE
from fastgen_k8s.controller.accept import accept
from fastgen_k8s.controller.children import ATTEMPT, JOB, PIPELINE, RETRY, STAGE, keep_pipeline
from fastgen_k8s.controller.generation import read_status
from fastgen_k8s.controller.job import Settings, job_name
from fastgen_k8s.controller.reconcile import Reconciler
from fastgen_k8s.controller.roots import Roots
from fastgen_k8s.controller.store import Artifacts
from fastgen_k8s.controller.telemetry import Telemetry
from fastgen_k8s.controller.view import ClusterView
from fastgen_k8s.controller.writes import Writes
from fastgen_k8s.kube.connection import Connection, Refused
from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.jobset import JOBSET
from fastgen_k8s.lifecycle.status import Status
from fastgen_k8s.pipeline.argv import parse
from fastgen_k8s.pipeline.resolve import place
from fastgen_k8s.pipeline.spec import API_VERSION
from fastgen_k8s.pipeline.work import Work
from tests.s3_server import Server
from tests.scripted_api import Answer, Asked, Scripted, scripted

SETTINGS = Settings(trainer_image="registry.example/trainer:1")
PROMPTS = b"turning left\nturning right\n"
STAGES = [
    {"name": "conditions", "kind": "encode", "experiment": "closed_form/gaussian_kd"},
    {"name": "pairs", "kind": "pairs", "experiment": "closed_form/gaussian_kd", "inputs": {"conditions": "conditions"}},
]


class Cluster:
    """One pipeline of an API server, and the jobs that were made for it."""

    def __init__(self, root: str) -> None:
        first = STAGES[0] | {"inputs": {"prompts": f"{root}/prompts.txt"}}
        meta = {"namespace": "n", "name": "p", "uid": "u", "generation": 1, "resourceVersion": "1"}
        self.pipeline: Object = {"metadata": meta, "spec": {"root": root, "stages": [first, STAGES[1]]}, "status": {}}
        self.jobs: list[Object] = []
        self.pods: list[Object] = []

    def answer(self, asked: Asked) -> Answer:
        match asked.verb, asked.path.rpartition("/")[2]:
            case "PATCH", "status":
                self.pipeline = self.pipeline | {"status": asked.body["status"]}
            case "PATCH", _:
                self.jobs.append(asked.body)
            case "GET", "pods":
                return Answer(body={"items": self.pods})
            case "GET", "jobs":
                return Answer(body={"items": []})
            case "GET", name if name != "p":
                return Answer(404, {"message": "no such job"})
            case _:
                pass
        return Answer(body=self.pipeline)

    def stage(self, name: str) -> Object:
        return next(one for one in self.pipeline["status"]["stages"] if one["name"] == name)

    def works(self) -> list[Work]:
        """What the jobs are told to do."""
        specs = [one["spec"]["replicatedJobs"][-1]["template"]["spec"]["template"]["spec"] for one in self.jobs]
        commands = [spec["containers"][0]["command"] for spec in specs]
        return [parse(words[words.index("--kind") :])[0] for words in commands]


@pytest.fixture
def cluster(s3: Server) -> Cluster:
    """With prompts in the store."""
    root = s3.place()
    store_at(root).put("prompts.txt", PROMPTS)
    return Cluster(root)


@pytest.fixture
def server(cluster: Cluster, tmp_path: Path) -> Iterator[Scripted]:
    with scripted(cluster.answer, tmp_path) as made:
        yield made


def look(
    cluster: Cluster, connection: Connection, jobs: tuple[Object, ...] = (), pods: tuple[Object, ...] = ()
) -> None:
    """A controller that has just been started looks once."""
    view, telemetry = ClusterView(lambda _key, _seconds: None), Telemetry()
    view.pipeline(None, keep_pipeline(cluster.pipeline))
    for one in jobs:
        view.job(JOBSET)(None, one)
    for one in pods:
        view.pod(None, one)
    connection.get("/version")  # its clock is the server's
    Reconciler(connection, view, Writes(connection, lambda: True), SETTINGS, Roots(None), telemetry)(("n", "p"))


def made_by_a_job(cluster: Cluster, stage: str, **facts: str) -> str:
    """The artifact of a stage, whole; the sha256 of its artifact.json."""
    accepted = accept(cluster.pipeline, Status(), SETTINGS, None, Artifacts(Telemetry()).input)
    resolved = accepted.stages[stage]
    store = store_at(resolved.output)
    store.delete(MANIFEST)
    begin(resolved.output, "conditions", resolved.digest, {}).commit(facts)
    return FileEntry.of(read(store, MANIFEST)).sha256


def test_a_job_is_told_what_was_seen_of_its_inputs(cluster: Cluster, server: Scripted) -> None:
    prompts = FileEntry.of(PROMPTS).sha256
    look(cluster, server.connect())
    assert cluster.works()[0].expect_inputs == {"prompts": prompts}
    assert cluster.pipeline["status"]["inputs"] == {"conditions": {"prompts": prompts}}
    assert "sha256" not in cluster.stage("conditions")


def test_what_was_seen_of_prompts_stays_what_is_wanted_when_they_are_changed(
    cluster: Cluster, server: Scripted
) -> None:
    prompts = FileEntry.of(PROMPTS).sha256
    cluster.pipeline["spec"]["suspend"] = True
    look(cluster, server.connect())
    assert cluster.jobs == []
    store_at(cluster.pipeline["spec"]["root"]).put("prompts.txt", b"turning round\n")
    cluster.pipeline["spec"]["suspend"] = False
    cluster.pipeline["metadata"]["generation"] = 2
    look(cluster, server.connect())
    assert cluster.works()[0].expect_inputs == {"prompts": prompts}


def test_an_artifact_that_was_there_already_counts_and_is_bound_from_then_on(
    cluster: Cluster, server: Scripted
) -> None:
    sha256 = made_by_a_job(cluster, "conditions")
    look(cluster, server.connect())
    assert (cluster.stage("conditions")["state"], cluster.stage("conditions")["sha256"]) == ("Succeeded", sha256)
    assert cluster.works()[0].expect_inputs == {"conditions": sha256}


def test_an_artifact_that_is_replaced_later_is_not_the_one_that_the_next_job_wants(
    cluster: Cluster, server: Scripted
) -> None:
    sha256 = made_by_a_job(cluster, "conditions")
    look(cluster, server.connect())
    assert made_by_a_job(cluster, "conditions", other="fact") != sha256
    cluster.jobs.clear()
    cluster.pipeline["metadata"]["generation"] = 2  # as of another deadline: the works are the same
    status = cluster.pipeline["status"]
    status["stages"] = [one if one["name"] == "conditions" else {"name": one["name"]} for one in status["stages"]]
    look(cluster, server.connect())
    assert cluster.stage("conditions")["sha256"] == sha256
    assert cluster.works()[0].expect_inputs == {"conditions": sha256}


def test_a_status_of_an_earlier_version_goes_on_and_binds_what_it_sees(cluster: Cluster, server: Scripted) -> None:
    look(cluster, server.connect())
    earlier = json.loads(json.dumps(cluster.pipeline["status"]))
    del earlier["inputs"]
    earlier["stages"] = [
        {"name": "conditions", "state": "Succeeded", "attempt": 1, "artifact": "s3://somewhere/conditions"},
        {"name": "pairs", "state": "Waiting"},
    ]
    assert read_status({"status": earlier}).stages[0].sha256 is None
    cluster.pipeline["status"] = earlier
    cluster.jobs.clear()
    look(cluster, server.connect())
    assert cluster.works()[0].expect_inputs == {}
    assert cluster.stage("pairs")["state"] == "Queued"


def stored(cluster: Cluster, made: Object) -> Object:
    """A job as the server has it that it was asked to make."""
    return made | {"metadata": made["metadata"] | {"uid": "j", "creationTimestamp": "2026-01-02T03:04:05Z"}}


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"image": "registry.example/trainer:2"}, ("Stopping", "Replaced")),
        ({"queue": "gpus"}, ("Stopping", "Replaced")),
        ({"deadline": 7}, ("Queued", None)),
    ],
)
def test_a_job_that_has_never_worked_is_made_anew_when_what_it_needs_was_corrected(
    cluster: Cluster, server: Scripted, change: Object, state: tuple[str, str | None]
) -> None:
    look(cluster, server.connect())
    cluster.pipeline["spec"] |= change
    cluster.pipeline["metadata"]["generation"] = 2
    look(cluster, server.connect(), (stored(cluster, cluster.jobs[0]),))
    found = cluster.stage("conditions")
    assert (found["state"], found.get("exitClass"), found["failures"]) == (*state, 0)


def test_a_job_that_has_never_worked_is_made_anew_once_when_somebody_asks(cluster: Cluster, server: Scripted) -> None:
    look(cluster, server.connect())
    cluster.pipeline["metadata"]["annotations"] = {RETRY: "conditions 2026-01-02T03:04:05Z"}
    look(cluster, server.connect(), (stored(cluster, cluster.jobs[0]),))
    assert (cluster.stage("conditions")["state"], cluster.stage("conditions")["exitClass"]) == ("Stopping", "Replaced")
    look(cluster, server.connect())
    look(cluster, server.connect(), (stored(cluster, cluster.jobs[1]),))
    assert (cluster.stage("conditions")["state"], cluster.stage("conditions")["attempt"]) == ("Queued", 2)


def ready_pod(job: Object) -> Object:
    """A trainer of a job at work."""
    meta = job["metadata"]
    labels = {JOB: meta["name"], PIPELINE: "p", "app.kubernetes.io/component": "trainer"}
    labels |= {"jobset.sigs.k8s.io/jobset-uid": meta["uid"], "jobset.sigs.k8s.io/job-index": "0"}
    maker = {"apiVersion": "batch/v1", "kind": "Job", "name": f"{meta['name']}-trainer-0", "uid": "x"}
    place = {"namespace": "n", "name": "pod", "uid": "pod", "labels": labels}
    place |= {"ownerReferences": [maker | {"controller": True}], "creationTimestamp": meta["creationTimestamp"]}
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    return {"metadata": place, "spec": {}, "status": status}


def ended(job: Object, kind: str) -> Object:
    """A job with its last condition."""
    return job | {"status": {"conditions": [{"type": kind, "status": "True", "reason": "Why", "message": "so"}]}}


def works_and_is_edited(cluster: Cluster, server: Scripted, edit: Callable[[Object], None]) -> tuple[Object, Object]:
    """A job at work and its pod, of a pipeline that is then changed into one that nobody can accept."""
    look(cluster, server.connect())
    job = stored(cluster, cluster.jobs[0])
    look(cluster, server.connect(), (job,), (ready_pod(job),))
    assert cluster.stage("conditions")["state"] == "Running"
    edit(cluster.pipeline["spec"]["stages"][0])
    cluster.pipeline["metadata"]["generation"] = 2
    return job, ready_pod(job)


def a_wrong_setting(stage: Object) -> None:
    stage["overrides"] = ["train.steps=8000x"]


def a_field_of_a_newer_version(stage: Object) -> None:
    stage["mood"] = True


REFUSED = pytest.mark.parametrize("edit", [a_wrong_setting, a_field_of_a_newer_version])


def conditions(cluster: Cluster) -> dict[str, tuple[str, str, int]]:
    said = cluster.pipeline["status"]["conditions"]
    return {one["type"]: (one["status"], one["reason"], one["observedGeneration"]) for one in said}


@REFUSED
def test_what_runs_is_recorded_under_a_generation_that_is_refused_and_the_status_tells_of_the_one_before(
    cluster: Cluster, server: Scripted, edit: Callable[[Object], None]
) -> None:
    job, pod = works_and_is_edited(cluster, server, edit)
    look(cluster, server.connect(), (job,), (pod,))
    assert conditions(cluster) == {
        "Accepted": ("False", "Invalid", 2),
        "Succeeded": ("Unknown", "Running", 1),
        "Suspended": ("False", "Active", 2),
    }
    digest = cluster.pipeline["status"]["digests"]["conditions"]
    begin(place(cluster.pipeline["spec"]["root"], "conditions", digest), "conditions", digest, {}).commit({})
    look(cluster, server.connect(), (ended(job, "Completed"),), (pod,))
    assert [cluster.stage(name)["state"] for name in ("conditions", "pairs")] == ["Succeeded", "Waiting"]
    assert cluster.stage("pairs")["message"] == "generation 2 is refused"
    assert (cluster.pipeline["status"]["observedGeneration"], len(cluster.jobs)) == (1, 1)


def test_a_crash_under_a_generation_that_is_refused_is_recorded_and_not_tried_again(
    cluster: Cluster, server: Scripted
) -> None:
    job, pod = works_and_is_edited(cluster, server, a_wrong_setting)
    look(cluster, server.connect(), (ended(job, "Failed"),), (pod,))
    found = cluster.stage("conditions")
    assert (found["state"], found["exitClass"], found["failures"]) == ("Waiting", "Crashed", 1)
    assert (found["message"], len(cluster.jobs)) == ("generation 2 is refused", 1)


@REFUSED
@pytest.mark.parametrize("remembered", [True, False])
def test_a_pipeline_that_is_refused_can_be_suspended(
    cluster: Cluster, server: Scripted, edit: Callable[[Object], None], remembered: bool
) -> None:
    job, pod = works_and_is_edited(cluster, server, edit)
    if not remembered:  # an earlier version has written no spec into the status
        del cluster.pipeline["status"]["accepted"]
    cluster.pipeline["spec"]["suspend"] = True
    look(cluster, server.connect(), (job,), (pod,))
    assert (cluster.stage("conditions")["state"], cluster.stage("conditions")["exitClass"]) == ("Stopping", "Suspended")
    look(cluster, server.connect(), (job,), (pod,))
    removed = [asked.path.rpartition("/")[2] for asked in server.asked if asked.verb == "DELETE"]
    assert removed == [job["metadata"]["name"]]
    look(cluster, server.connect())
    told = cluster.pipeline["status"]
    assert (cluster.stage("conditions")["state"], conditions(cluster)["Suspended"][0]) == ("Waiting", "True")
    look(cluster, server.connect())
    assert cluster.pipeline["status"] == told


def test_a_pipeline_that_is_mended_goes_on_with_the_job_that_it_has(cluster: Cluster, server: Scripted) -> None:
    job, pod = works_and_is_edited(cluster, server, a_wrong_setting)
    look(cluster, server.connect(), (job,), (pod,))
    del cluster.pipeline["spec"]["stages"][0]["overrides"]
    cluster.pipeline["metadata"]["generation"] = 3
    look(cluster, server.connect(), (job,), (pod,))
    assert (conditions(cluster)["Accepted"], cluster.stage("conditions")["attempt"]) == (("True", "Accepted", 3), 1)


@pytest.mark.parametrize(("code", "passes"), [(403, False), (429, True), (500, True), (503, True)])
def test_a_refusal_of_a_job_stands_in_the_status_and_is_told_once(
    cluster: Cluster, tmp_path: Path, code: int, passes: bool
) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.verb == "PATCH" and not asked.path.endswith("/status"):
            return Answer(code, {"message": "its webhook is down"})
        return cluster.answer(asked)

    with scripted(answer, tmp_path) as server:
        for _ in range(2):
            with pytest.raises(Refused, match="its webhook is down") if passes else nullcontext():
                look(cluster, server.connect())
        told = [asked.body["reason"] for asked in server.asked if asked.verb == "POST"]
    found = cluster.stage("conditions")
    assert (found["state"], found["reason"], found["message"]) == (
        "Waiting",
        "JobRefused",
        "its job is refused: its webhook is down",
    )
    assert (conditions(cluster)["Succeeded"], told) == (("Unknown", "JobRefused", 1), ["JobRefused"])


def test_the_checkpoint_that_a_suspended_stage_shows_is_the_one_that_its_job_wrote_last(
    cluster: Cluster, server: Scripted
) -> None:
    job, pod = works_and_is_edited(cluster, server, lambda _: None)
    written = store_at(place(cluster.pipeline["spec"]["root"], "conditions", digest_of(cluster)))
    written.put(FILE, b'{"step": 110, "steps": 200, "checkpoint": 100}')
    cluster.pipeline["spec"]["suspend"] = True
    look(cluster, server.connect(), (job,), (pod,))
    assert (cluster.stage("conditions")["state"], cluster.stage("conditions")["checkpoint"]) == ("Stopping", 100)
    written.put(FILE, b'{"step": 130, "steps": 200, "checkpoint": 130}')
    look(cluster, server.connect())
    found = cluster.stage("conditions")
    assert (found["state"], found["checkpoint"], found["progress"]["step"]) == ("Waiting", 130, 130)


def digest_of(cluster: Cluster) -> str:
    return cluster.pipeline["status"]["digests"]["conditions"]


def test_the_exit_code_of_a_stray_pod_is_not_that_of_a_job(cluster: Cluster, server: Scripted) -> None:
    look(cluster, server.connect())
    name = job_name(cluster.pipeline, "conditions", 1)
    owner = {"apiVersion": API_VERSION, "uid": "u"}
    digest = cluster.pipeline["status"]["digests"]["conditions"][:16]
    labels = {PIPELINE: "p", STAGE: "conditions", ATTEMPT: "1", f"{API_VERSION.partition('/')[0]}/digest": digest}
    meta = {"namespace": "n", "name": name, "uid": "j", "labels": labels, "ownerReferences": [owner]}
    failed = {"conditions": [{"type": "Failed", "status": "True", "reason": "FailedJobs", "message": "crashed"}]}
    job: Object = {"metadata": meta | {"creationTimestamp": "2026-01-02T03:04:05Z"}, "spec": {}, "status": failed}
    ended = {"terminated": {"exitCode": 65, "message": "error: not one of ours"}}
    stray: Object = {
        "metadata": {
            "namespace": "n",
            "name": "stray",
            "uid": "s",
            "labels": {JOB: name, PIPELINE: "p", "app.kubernetes.io/component": "trainer"},
            "creationTimestamp": "2026-01-02T03:04:05Z",
        },
        "spec": {},
        "status": {"phase": "Failed", "containerStatuses": [{"state": ended}]},
    }
    cluster.pods = [stray]
    look(cluster, server.connect(), (job,), (stray,))
    assert (cluster.stage("conditions")["state"], cluster.stage("conditions")["exitClass"]) == ("Waiting", "Crashed")
