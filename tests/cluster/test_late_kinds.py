# pyright: basic
"""The whole controller in a cluster in which kinds are installed after it, or removed under it."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests import s3_server
from tests.cluster import jobset
from tests.cluster.asked import Since, of_an_absent_kind
from tests.cluster.cluster import Cluster
from tests.cluster.custom import establish
from tests.cluster.pipelines import ONCE, UNDISTURBED, Place, ends, made, new_place, played, stage
from tests.cluster.proxy import Proxy
from tests.cluster.simulated import Act

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

DEFINITIONS = "customresourcedefinitions.v1.apiextensions.k8s.io"
PIPELINE, JOBSET = "distillationpipelines.fastgen-k8s.github.io", "jobsets.jobset.x-k8s.io"
OFFERS = 2  # of a job whose kind is not there: the second when the first one's end is in the status


def install(cluster: Cluster) -> None:
    """Our kind and JobSet's, if they are not there."""
    establish(cluster.api, [yaml.safe_load(Path("manifests/base/crd.yaml").read_text())])
    jobset.install(cluster.api)


def remove(cluster: Cluster, kind: str) -> None:
    """Remove a kind with all of its objects."""
    cluster.api.delete(DEFINITIONS, kind)
    cluster.wait_gone(DEFINITIONS, kind)


@contextmanager
def without(cluster: Cluster, kind: str) -> Generator[None]:
    """A cluster that has never heard of a kind, until it is installed."""
    remove(cluster, kind)
    try:
        yield
    finally:
        install(cluster)


@pytest.fixture
def place(served: Cluster, store: s3_server.Server) -> Iterator[Place]:
    with new_place(served, store) as made:
        yield made


def test_a_controller_that_was_there_before_its_kind_begins_when_that_is_installed(
    place: Place, front: Proxy, tmp_path: Path
) -> None:
    with played(place) as simulated, without(place.cluster, PIPELINE):
        since = Since(front)
        with place.fork(through=front.kubeconfig(tmp_path)) as controller:
            controller.ready()
            front.wait_for(lambda _: len(since.lists("distillationpipelines")) >= 4)
            assert len(since.lists("distillationpipelines")) <= of_an_absent_kind(since.seconds)
            install(place.cluster)
            place.apply()
            assert ends(place.finished()) == UNDISTURBED
            assert made(simulated, place) == ONCE
            assert controller.faults() == []


def test_a_pipeline_waits_for_the_kind_of_its_jobs_which_are_offered_now_and_then(
    place: Place, front: Proxy, tmp_path: Path
) -> None:
    with played(place) as simulated, without(place.cluster, JOBSET):
        since = Since(front)
        with place.fork(through=front.kubeconfig(tmp_path)) as controller:
            place.apply()
            place.wait(lambda status: stage(status, "conditions").get("message", "").startswith("waits for JobSet"))
            front.wait_for(lambda _: len(since.lists("jobsets")) >= 6)
            assert len(since.lists("jobsets")) <= of_an_absent_kind(since.seconds)
            assert sum(verb == "PATCH" and "/jobsets/" in path for verb, path in since.requests) <= OFFERS
            install(place.cluster)
            assert ends(place.finished()) == UNDISTURBED
            assert made(simulated, place) == ONCE
            assert controller.faults() == []


def test_a_job_that_went_with_its_kind_is_made_anew_and_not_counted(place: Place) -> None:
    def play(name: str, attempt: int) -> Act:
        return Act(forever=(name, attempt) == ("kd", 1))

    with played(place, play) as simulated, place.fork() as controller:
        place.apply()
        place.wait(lambda status: stage(status, "kd")["state"] == "Running")
        with without(place.cluster, JOBSET):
            pass
        assert ends(place.finished()) == [*UNDISTURBED[:2], ("kd", "Succeeded", 2, 0)]
        assert made(simulated, place) == [*ONCE, ("kd", 2)]
        assert controller.faults() == []
