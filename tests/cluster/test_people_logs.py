"""`fastgen-k8s logs` on real pods: all trainers while they run and after it, the stored steps when they are gone."""

import re
import subprocess

import pytest

from fastgen_k8s.artifacts import open_artifact
from fastgen_k8s.lifecycle.status import StageStatus
from tests.cluster import jobsets
from tests.cluster.desk import KD, PROGRAM, Desk, establish_ours
from tests.cluster.launched import Place

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

WORDS = ("--experiment", KD, "--resource", "cpu_tiny", "--nodes", "2")
MANY = ("pairs.samples_per_prompt=512", "pairs.block_size=16", "pairs.solver_steps=35")


@pytest.fixture(scope="module")
def desk(place: Place) -> Desk:
    """A pipeline in the namespace in which stages run; their jobs are its stages' attempts."""
    establish_ours(place.cluster.api)
    made = Desk(place.cluster, place.namespace, place.storage.environment())
    made.apply(root=place.root)
    return made


def test_all_trainers_are_followed_to_the_end_of_their_job(place: Place, desk: Desk, pairs: dict[str, str]) -> None:
    given = ("--conditions", pairs["conditions"], "--output", f"{place.root}/followed")
    job = place.run("stage1", *WORDS, *given, *MANY, cfg={"job": "followed"})
    desk.told(StageStatus(name="pairs", state="Queued", attempt=1, job=job, nodes=2))
    words = [PROGRAM, "logs", "shapes", "--follow", "-n", desk.namespace]
    with subprocess.Popen(words, env=desk.environment(), stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        lines = list(following.stdout)
    blocks = [re.fullmatch(r"trainer/(\d) .*block written .*\n", line) for line in lines]
    assert (following.returncode, {found[1] for found in blocks if found}) == (0, {"0", "1"}), lines
    output = f"{place.root}/followed"
    desk.told(StageStatus(name="pairs", state="Succeeded", attempt=1, job=job, nodes=2, artifact=output))
    code, out, err = desk.say("logs", "shapes", "pairs")
    left = out.splitlines(keepends=True)  # of the trainer that was first: with its end the pods of the others go
    assert (code, len(left) > 0, set(left) <= set(lines), err) == (0, True, True, "")


def test_when_pods_are_gone_the_stored_steps_of_the_training_are_read(
    place: Place, desk: Desk, pairs: dict[str, str]
) -> None:
    output = f"{place.root}/stored"
    given = {"FASTGEN_PAIRS": pairs["pairs"], "FASTGEN_CONDITIONS": pairs["conditions"]}
    few = ("--output", output, "--log_every", "2", "train.steps=6", "train.global_batch=4")
    job = place.run("stage2", *WORDS, *few, cfg={"job": "stored"}, wait=True, environment=given)
    at_most = 3  # of which two came, and of those one or both are left: whose end was first is chance
    desk.told(StageStatus(name="kd", state="Succeeded", attempt=1, job=job, nodes=at_most, artifact=output))
    _, out, err = desk.say("logs", "shapes", "kd")
    assert out.splitlines()[-1].startswith("step=6 loss=")
    assert err == f"stage kd: some of its pods are gone, these are its metrics in {output}\n"
    place.cluster.delete_wholly(jobsets.RESOURCE, job, place.namespace)
    code, out, err = desk.say("logs", "shapes", "kd")
    assert err == f"stage kd: its pods are gone, these are its metrics in {output}\n"
    assert (code, [line.split(" loss=")[0] for line in out.splitlines()]) == (0, ["step=2", "step=4", "step=6"])
    assert open_artifact(output, "training").manifest.facts["step"] == 6
