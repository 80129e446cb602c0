# pyright: basic
"""The controller against a real API server and a real store; who runs its jobs is played."""

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fastgen_k8s.artifacts import find_artifact, progress, store_at
from fastgen_k8s.controller.children import RETRY
from fastgen_k8s.pipeline.resolve import place as place_of
from tests import s3_server
from tests.cluster.api import Object, Refused
from tests.cluster.cluster import Cluster
from tests.cluster.pipelines import EXPERIMENT, PIPELINES, Place, new_place, played, stage, stages, succeeded
from tests.cluster.simulated import JOBSETS, Act

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

Record = Callable[[str, object], None]


@pytest.fixture
def place(served: Cluster, store: s3_server.Server) -> Iterator[Place]:
    with new_place(served, store) as made:
        yield made


def test_a_pipeline_runs_itself_stage_by_stage(place: Place) -> None:
    with played(place) as simulated, place.controller() as controller:
        place.apply()
        status = place.finished()
        assert succeeded(status)["status"] == "True", status
        assert simulated.made[f"{place.namespace}/tiny"] == [("conditions", 1), ("pairs", 1), ("kd", 1)]
        assert [find_artifact(one["artifact"]) is not None for one in status["stages"]] == [True] * 3
        assert controller.faults() == []


def test_the_same_again_starts_no_job(place: Place) -> None:
    with played(place) as simulated, place.controller():
        place.apply()
        first = place.finished()
        place.merge({"spec": {"stages": [one | {"retries": 3} for one in stages(place.root)]}})
        second = place.finished()
        assert len(simulated.made[f"{place.namespace}/tiny"]) == 3
        assert (first["digests"], succeeded(second)["status"]) == (second["digests"], "True")


def test_a_changed_setting_runs_its_stage_and_what_follows_only(place: Place) -> None:
    with played(place) as simulated, place.controller():
        place.apply()
        place.finished()

        def changed(spec: Object) -> None:
            spec["stages"][1]["overrides"] = ["pairs.seed=7"]

        place.apply(change=changed)
        place.finished()
        assert simulated.made[f"{place.namespace}/tiny"][3:] == [("pairs", 2), ("kd", 2)]


@pytest.mark.parametrize(
    ("code", "kind"), [(64, "Misdescribed"), (65, "BadInput"), (70, "Unhealthy"), (71, "OutOfMemory")]
)
def test_a_permanent_failure_ends_the_pipeline_after_one_attempt(place: Place, code: int, kind: str) -> None:
    with played(place, lambda name, _: Act(code if name == "pairs" else 0)) as simulated, place.controller():
        place.apply()
        status = place.finished()
        assert (succeeded(status)["status"], succeeded(status)["reason"]) == ("False", "StageFailed")
        found = stage(status, "pairs")
        assert (found["state"], found["exitCode"], found["exitClass"]) == ("Failed", code, kind)
        assert simulated.made[f"{place.namespace}/tiny"] == [("conditions", 1), ("pairs", 1)]


def test_a_crash_is_tried_again_and_counted(place: Place) -> None:
    def play(name: str, attempt: int) -> Act:
        return Act(1 if name == "pairs" and attempt == 1 else 0)

    with played(place, play) as simulated, place.controller():
        place.apply()
        status = place.finished()
        assert succeeded(status)["status"] == "True"
        assert simulated.made[f"{place.namespace}/tiny"] == [("conditions", 1), ("pairs", 1), ("pairs", 2), ("kd", 1)]
        assert stage(status, "pairs")["failures"] == 1


def test_retry_goes_on_where_a_stage_failed(place: Place) -> None:
    broken = [True]
    with played(place, lambda name, _: Act(70 if name == "pairs" and broken[0] else 0)), place.controller():
        place.apply()
        place.finished()
        broken[0] = False
        place.merge({"metadata": {"annotations": {RETRY: "pairs 2026-01-01T00:00:00Z"}}})
        status = place.wait(lambda status: succeeded(status)["status"] == "True")
        assert stage(status, "pairs")["attempt"] == 2


def test_a_broken_gate_stops_with_number_and_bound(place: Place) -> None:
    def gated(spec: Object) -> None:
        spec["stages"][1]["gate"] = {"samples": {"max": 10}}

    with played(place, lambda name, _: Act(facts={"samples": 12.0})) as simulated, place.controller():
        place.apply(change=gated)
        status = place.finished()
        assert succeeded(status)["reason"] == "GateFailed"
        assert stage(status, "pairs")["message"] == (
            "gate samples: wanted at most 10, found 12.0; "
            "try: more pairs.samples_per_prompt or sample.samples_per_prompt"
        )
        assert ("kd", 1) not in simulated.made[f"{place.namespace}/tiny"]


def test_suspended_jobs_are_removed_and_made_anew_on_resume(place: Place) -> None:
    def play(name: str, attempt: int) -> Act:
        return Act(forever=name == "kd" and attempt == 1)

    with played(place, play), place.controller():
        place.apply()
        place.wait(lambda status: stage(status, "kd")["state"] == "Running")
        place.merge({"spec": {"suspend": True}})
        status = place.wait(lambda status: succeeded(status)["reason"] == "Suspended")
        assert (stage(status, "kd")["state"], stage(status, "kd")["failures"], place.jobs()) == ("Waiting", 0, [])
        place.merge({"spec": {"suspend": False}})
        status = place.finished()
        assert (succeeded(status)["status"], stage(status, "kd")["attempt"]) == ("True", 2)


def test_a_stage_at_work_says_that_it_has_the_old_image_until_it_is_suspended_and_resumed(place: Place) -> None:
    with played(place, lambda name, _: Act(forever=name == "kd")), place.controller():
        place.apply()
        place.wait(lambda status: stage(status, "kd")["state"] == "Running")
        place.merge({"spec": {"image": "fastgen-k8s/trainer:other"}})
        old = "still runs with image fastgen-k8s/trainer:test instead of fastgen-k8s/trainer:other: suspend and resume"
        status = place.wait(lambda status: old in stage(status, "kd").get("message", ""))
        assert (stage(status, "kd")["state"], stage(status, "kd")["attempt"]) == ("Running", 1)
        place.merge({"spec": {"suspend": True}})
        place.wait(lambda status: succeeded(status)["reason"] == "Suspended")
        place.merge({"spec": {"suspend": False}})
        found = stage(place.wait(lambda status: stage(status, "kd")["state"] == "Running"), "kd")
        assert (found["attempt"], found["failures"], found.get("message")) == (2, 0, None)


def test_a_pipeline_that_an_edit_has_made_invalid_is_followed_and_can_be_suspended(place: Place) -> None:
    """One stage ends under the generation that is refused, another is stopped; the mended pipeline goes on."""

    def play(name: str, attempt: int) -> Act:
        return Act(forever=name in ("kd", "side") and attempt == 1)

    def two_at_once(spec: Object) -> None:
        spec["stages"].append({"name": "side", "kind": "report", "needs": ["pairs"]} | EXPERIMENT)

    def accepted(status: Object) -> tuple[str, int]:
        [one] = [one for one in status["conditions"] if one["type"] == "Accepted"]
        return one["status"], one["observedGeneration"]

    with played(place, play) as simulated, place.controller() as controller:
        stages = place.apply(change=two_at_once)["spec"]["stages"]
        running = place.wait(lambda status: [stage(status, one)["state"] for one in ("kd", "side")] == ["Running"] * 2)
        wrong = [one | ({"overrides": ["train.steps=8000x"]} if one["name"] == "kd" else {}) for one in stages]
        place.merge({"spec": {"stages": wrong}})
        place.wait(lambda status: accepted(status) == ("False", 2))
        simulated.end(stage(running, "side")["job"])
        place.wait(lambda status: stage(status, "side")["state"] == "Succeeded")
        place.merge({"spec": {"suspend": True}})
        status = place.wait(lambda status: (stage(status, "kd")["state"], place.jobs()) == ("Waiting", []))
        assert (stage(status, "kd")["exitClass"], accepted(status)) == ("Suspended", ("False", 3))
        assert status["observedGeneration"] == 1
        place.merge({"spec": {"suspend": False, "stages": stages}})
        assert succeeded(place.finished())["status"] == "True"
        assert controller.faults() == []


def test_of_two_pipelines_with_one_root_one_makes_what_both_want_and_the_other_waits_for_it(place: Place) -> None:
    """What they want alike is made once; what only one of them wants is its own."""

    def one_root(spec: Object) -> None:
        spec["root"] = f"{place.root}/shared"

    def other_pairs(spec: Object) -> None:
        one_root(spec)
        spec["stages"][1]["overrides"] = ["pairs.seed=7"]

    def waits(status: Object) -> bool:
        found = stage(status, "conditions")
        said = f"waits for pipeline {place.namespace}/tiny, which makes {place.root}/shared/conditions/"
        return found.get("reason") == "SharedPlace" and found["message"].startswith(said)

    with played(place, lambda name, _: Act(forever=name == "conditions")) as simulated, place.controller():
        place.apply(change=one_root)
        job = stage(place.wait(lambda status: stage(status, "conditions")["state"] == "Running"), "conditions")["job"]
        place.apply("other", change=other_pairs)
        assert succeeded(place.wait(waits, "other"))["reason"] == "SharedPlace"
        simulated.end(job)
        ends = place.finished(), place.finished("other")
        assert [succeeded(one)["status"] for one in ends] == ["True", "True"]
        assert simulated.made[f"{place.namespace}/other"] == [("pairs", 1), ("kd", 1)]
        artifacts = [[one["artifact"] for one in status["stages"]] for status in ends]
        assert [mine == other for mine, other in zip(*artifacts, strict=True)] == [True, False, False]


def test_a_job_that_a_dead_webhook_refuses_is_told_of_and_made_when_it_is_back(place: Place) -> None:
    name, where = f"dead-{place.namespace}", {"kubernetes.io/metadata.name": place.namespace}
    rule = {"apiGroups": ["jobset.x-k8s.io"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["jobsets"]}
    hook: Object = {"name": "dead.example.com", "clientConfig": {"url": "https://127.0.0.1:1/"}, "rules": [rule]}
    hook |= {"namespaceSelector": {"matchLabels": where}, "sideEffects": "None", "admissionReviewVersions": ["v1"]}
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    api = place.cluster.api

    def refused(status: Object) -> bool:
        found = stage(status, "conditions")
        said = found.get("message", "").startswith("its job is refused: ") and "dead.example.com" in found["message"]
        return (found.get("reason"), succeeded(status)["reason"], said) == ("JobRefused", "JobRefused", True)

    with played(place), place.controller() as controller:
        api.create(kind | {"metadata": {"name": name}, "webhooks": [hook]})
        try:
            place.apply()
            place.wait(refused)
            told = place.cluster.watch_until(
                "events", lambda seen: any(one["reason"] == "JobRefused" for one in seen.values()), place.namespace
            )
            assert [one["type"] for one in told.values() if one["reason"] == "JobRefused"] == ["Warning"]
        finally:
            api.delete("validatingwebhookconfigurations.v1.admissionregistration.k8s.io", name)
        assert succeeded(place.finished())["status"] == "True"
        assert controller.faults() == []


def test_a_job_that_somebody_deleted_is_made_anew_and_not_counted(place: Place) -> None:
    with played(place, lambda name, attempt: Act(forever=name == "kd" and attempt == 1)), place.controller():
        place.apply()
        running = stage(place.wait(lambda status: stage(status, "kd")["state"] == "Running"), "kd")
        place.cluster.api.delete(JOBSETS, running["job"], place.namespace)
        status = place.finished()
        assert (stage(status, "kd")["attempt"], stage(status, "kd")["failures"]) == (2, 0)


def test_a_stage_without_progress_is_ended_and_tried_again(place: Place) -> None:
    def patient(spec: Object) -> None:
        spec["stages"][2]["progressDeadlineSeconds"] = 1

    with played(place, lambda name, attempt: Act(forever=name == "kd" and attempt == 1)), place.controller():
        place.apply(change=patient)
        found = place.wait(lambda status: stage(status, "kd").get("exitClass") == "Stalled")
        assert stage(found, "kd")["state"] in ("Stopping", "Waiting")
        status = place.finished()
        assert (stage(status, "kd")["attempt"], stage(status, "kd")["failures"]) == (2, 1)


def test_a_stage_that_makes_a_step_now_and_then_is_not_ended_because_nobody_has_looked(place: Place) -> None:
    def patient(spec: Object) -> None:
        spec["stages"][2]["progressDeadlineSeconds"] = 3

    def steps(status: Object, over: threading.Event) -> None:
        written = store_at(place_of(f"{place.root}/tiny", "kd", status["digests"]["kd"]))
        for step in itertools.count(1):
            written.put(progress.FILE, json.dumps({"step": step, "steps": 10**6}).encode())
            if over.wait(0.3):
                return

    with played(place, lambda name, _: Act(forever=name == "kd")), place.controller(), ThreadPoolExecutor() as pool:
        place.apply(change=patient)
        status = place.wait(lambda status: stage(status, "kd")["state"] == "Running")
        over, seen = threading.Event(), set[str | None]()
        writing = pool.submit(steps, status, over)

        def lives_on(status: Object) -> bool:
            found = stage(status, "kd")
            assert (found["attempt"], found.get("exitClass")) == (1, None)
            seen.add(found.get("progressedAt"))
            return len(seen) > 3

        try:
            place.wait(lives_on)
        finally:
            over.set()
        writing.result()


def test_what_only_the_controller_can_know_is_refused_in_the_status(place: Place) -> None:
    def missing(spec: Object) -> None:
        spec["stages"][0]["inputs"] = {"prompts": f"{place.root}/nowhere.txt"}

    with played(place), place.controller() as controller:
        place.apply(change=missing)
        status = place.wait(lambda status: bool(status.get("conditions")))
        [accepted] = [one for one in status["conditions"] if one["type"] == "Accepted"]
        assert (accepted["status"], accepted["reason"]) == ("False", "InputMissing")
        assert "nowhere.txt: wanted an artifact, a file or a DCP folder, found nothing" in accepted["message"]
        assert controller.faults() == []


def test_a_pipeline_is_held_to_the_roots_of_its_namespace_as_they_are_now(place: Place, tmp_path: Path) -> None:
    listed = tmp_path / place.namespace
    listed.write_text("s3://elsewhere\n")

    def refused(status: Object) -> bool:
        said = [one for one in status.get("conditions", ()) if one["type"] == "Accepted"]
        wanted = f"root: wanted a place below s3://elsewhere, found '{place.root}/tiny'"
        return [(one["status"], one["reason"], one["message"]) for one in said] == [("False", "Invalid", wanted)]

    def looked_at_again(wish: str) -> None:
        place.merge({"metadata": {"annotations": {"example.com/wish": wish}}})  # sooner than in a minute

    play = played(place, lambda name, _: Act(forever=name == "kd"))
    with play as simulated, place.controller("--roots", str(tmp_path)):
        place.apply()
        place.wait(refused)
        assert f"{place.namespace}/tiny" not in simulated.made
        listed.write_text(f"s3://elsewhere\n{place.root}\n")
        looked_at_again("first")
        place.wait(lambda status: stage(status, "kd")["state"] == "Running")
        listed.write_text("s3://elsewhere\n")
        looked_at_again("second")
        place.wait(refused)
        assert [labels["fastgen-k8s.github.io/pipeline-stage"] for labels in labels_of(place)] == ["kd"]


def labels_of(place: Place) -> list[Object]:
    """The labels of the jobs that have not ended."""
    jobs = place.cluster.api.list(JOBSETS, place.namespace).values()
    return [one["metadata"]["labels"] for one in jobs if not one.get("status", {}).get("terminalState")]


def test_a_finished_pipeline_is_removed_when_its_time_is_over(place: Place) -> None:
    def brief(spec: Object) -> None:
        spec["ttlSecondsAfterFinished"] = 1

    with played(place), place.controller():
        place.apply(change=brief)
        place.cluster.wait_gone(PIPELINES, "tiny", place.namespace)


def test_people_read_what_happens_in_events(place: Place) -> None:
    with played(place), place.controller():
        place.apply()
        place.finished()
        found = place.cluster.watch_until(
            "events", lambda state: any(one["reason"] == "PipelineSucceeded" for one in state.values()), place.namespace
        )
        reasons = [one["reason"] for one in found.values()]
        assert (reasons.count("StageStarted"), reasons.count("StageSucceeded")) == (3, 3), json.dumps(reasons)


def test_a_pipeline_of_a_rule_that_a_schema_knows_is_refused_by_the_server(place: Place) -> None:
    def twice(spec: Object) -> None:
        spec["stages"] = [spec["stages"][0], spec["stages"][0]]

    with pytest.raises(Refused, match="duplicate entries"):
        place.apply(change=twice)


def test_a_standby_leads_when_the_leader_is_killed(place: Place, record_property: Record) -> None:
    with played(place, lambda name, _: Act(after=0.2)), place.controller() as first:
        first.ready()
        place.apply("before")
        place.finished("before")
        with place.controller() as second:
            second.ready()
            was, began = place.lease()["holderIdentity"], time.monotonic()
            first.kill()
            place.another_leads(was)
            record_property("seconds to the next leader", time.monotonic() - began)
            place.apply("after")
            assert succeeded(place.finished("after", timeout=60))["status"] == "True"


def test_a_replica_asked_to_end_gives_the_lease_away(place: Place, record_property: Record) -> None:
    with played(place), place.controller() as first:
        first.ready()
        place.apply("before")
        place.finished("before")
        with place.controller() as second:
            second.ready()
            was, began = place.lease()["holderIdentity"], time.monotonic()
            assert first.terminate() == 0
            place.another_leads(was)
            record_property("seconds to the next leader", time.monotonic() - began)
            place.apply("after")
            assert succeeded(place.finished("after", timeout=15))["status"] == "True"


NEWER = """
import sys
from fastgen_k8s.pipeline import work
work.KINDS = {name: kind.model_copy(update={"recipe": kind.recipe + 1}) for name, kind in work.KINDS.items()}
from fastgen_k8s.controller.serve import main
sys.exit(main())
"""
"""A controller to which every stage means something else, so that all of its digests differ."""

RICHER = """
import sys
from fastgen_k8s.controller import job
from fastgen_k8s.controller.serve import main
plain = job.BACKENDS["jobset"]
def richer(launch, cluster):
    made = plain.render(launch, cluster)
    for one in made["spec"]["replicatedJobs"]:
        one["template"]["spec"]["template"]["spec"]["containers"][0]["command"] += ["--new-habit", "7"]
    return made
job.BACKENDS["jobset"] = plain._replace(render=richer)
sys.exit(main())
"""
"""A controller that knows a setting which no trainer's image knows yet."""


def test_an_upgrade_of_the_controller_runs_nothing_again(place: Place) -> None:
    with played(place) as simulated:
        with place.controller():
            place.apply()
            before = place.finished()
        with place.controller(program=NEWER) as newer:
            newer.ready()
            place.apply("fresh")
            fresh = place.finished("fresh")
        assert len(simulated.made[f"{place.namespace}/tiny"]) == 3
        after = place.get()["status"]
        assert (after, fresh["digests"]["kd"] != after["digests"]["kd"]) == (before, True)


def test_an_upgrade_in_the_middle_keeps_the_digests_that_were_frozen(place: Place) -> None:
    with played(place, lambda name, _: Act(after=1.0 if name == "pairs" else 0.0)) as simulated:
        with place.controller():
            place.apply()
            before = place.wait(lambda status: stage(status, "pairs")["state"] in ("Queued", "Running"))
        with place.controller(program=NEWER):
            after = place.finished()
        assert simulated.made[f"{place.namespace}/tiny"] == [("conditions", 1), ("pairs", 1), ("kd", 1)]
        assert (succeeded(after)["status"], after["digests"]) == ("True", before["digests"])


def test_a_setting_that_the_image_does_not_know_is_refused_by_its_agent(place: Place) -> None:
    with played(place, lambda name, _: Act(forever=True)), place.controller(program=RICHER):
        place.apply()
        job = stage(place.wait(lambda status: stage(status, "conditions")["state"] == "Running"), "conditions")["job"]
        jobs = place.cluster.api.get(JOBSETS, job, place.namespace)["spec"]["replicatedJobs"]
        [container] = jobs[0]["template"]["spec"]["template"]["spec"]["containers"]
        command = [sys.executable, *container["command"][1:]]
        agent = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | place.environment)
    assert (agent.returncode, agent.stderr) == (64, "error: unrecognized arguments: --new-habit 7\n")
