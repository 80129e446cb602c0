"""Level D: real stages as jobs of Volcano, by `torchx run -s kubernetes`, under a stand-in for its controller.

Volcano's own program did not run here: see volcano_rules.py.
"""

import re
from collections.abc import Iterator

import pytest

from fastgen_k8s.artifacts import find_artifact
from tests.cluster import volcano_standin
from tests.cluster.api import Object
from tests.cluster.launched import Listener, Place
from tests.cluster.storage import NAME
from tests.cluster.volcano_rules import ENDED, JOBS, phase

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

WORDS = ("--experiment", "closed_form/gaussian_kd", "--resource", "cpu_tiny")


@pytest.fixture(scope="module")
def volcano(place: Place, pairs: dict[str, str]) -> Iterator[Place]:
    """A place with conditions and pairs, and the stand-in at work."""
    assert pairs["pairs"] == f"{place.root}/stage1"  # where stage 2 looks for them
    volcano_standin.install(place.cluster.api)
    with volcano_standin.running(place.cluster.api):
        yield place


def launched(place: Place, component: str, *words: str) -> str:
    """`torchx run -s kubernetes components/X.py`; the name of the job."""
    settings = f"namespace={place.namespace},secrets={NAME},service_account=default"
    made = place.command("torchx", "run", "-s", "kubernetes", "-cfg", settings, f"components/{component}.py", *words)
    found = re.search(r"kubernetes://\S+:(\S+)", made.stdout)
    assert found is not None, made.stdout + made.stderr
    return found[1]


def ended(place: Place, job: str) -> Object:
    """The job when it is over."""
    return place.cluster.wait_for(JOBS, job, lambda found: phase(found) in ENDED, place.namespace, timeout=300)


def test_a_training_that_loses_its_rendezvous_meets_anew_and_completes(volcano: Place) -> None:
    output, settings = f"{volcano.root}/volcano", ("train.steps=600", "train.global_batch=64")
    job = launched(volcano, "stage2", *WORDS, "--nodes", "2", "--save_every", "50", "--output", output, *settings)
    said = Listener(volcano, job)
    first = said.step(beyond=50, timeout=180)
    volcano.cluster.delete_pod(f"{job}-rendezvous-0", volcano.namespace)
    said.group(2, first.at, timeout=180)
    said.stop()  # with the next that happens to a pod
    seen = ended(volcano, job)
    assert (phase(seen), seen["status"]["retryCount"]) == ("Completed", 1)
    assert find_artifact(output) is not None


def test_pairs_of_three_pods_of_which_one_is_killed_complete(volcano: Place) -> None:
    output, many = f"{volcano.root}/many", ("pairs.samples_per_prompt=256", "pairs.block_size=16")
    job = launched(volcano, "stage1", *WORDS, "--nodes", "3", "--output", output, *many, "pairs.solver_steps=35")
    said = Listener(volcano, job)
    first = said.wait(lambda line: "block written" in line.text, timeout=180)
    volcano.cluster.kill_agent(first.pod, volcano.namespace)
    said.stop()  # with the next that happens to a pod
    seen = ended(volcano, job)
    assert (phase(seen), seen["status"]["retryCount"]) == ("Completed", 1)
    assert find_artifact(output) is not None
