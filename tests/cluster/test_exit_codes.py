"""What an exit code does to a job on real pods: end it at once, start its pod again uncounted, or counted."""

from collections.abc import Iterator, Mapping

import pytest

from fastgen_k8s.artifacts import find_artifact
from fastgen_k8s.launch import cluster as offered
from fastgen_k8s.launch.jobset import jobset
from fastgen_k8s.launch.launch import Launch
from fastgen_k8s.launch.outcome import exit_code
from fastgen_k8s.pipeline.work import Execution, Placement, Work
from tests.cluster import pods
from tests.cluster.api import Object
from tests.cluster.conditions import holds
from tests.cluster.launched import IMAGE, Place
from tests.cluster.storage import NAME

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

BROKEN = "broken-interpreter"  # a ConfigMap that no Python starts with
LATER = "comes-later"  # a Secret
LONG = "train.steps=1000000"


def submitted(
    place: Place,
    pairs: dict[str, str],
    job: str,
    *settings: str,
    config_maps: tuple[str, ...] = (),
    secrets: tuple[str, ...] = (NAME,),
    **changes: object,
) -> str:
    """A training on one pod, as a JobSet of that name."""
    described = {"kind": "train", "experiment": "closed_form/gaussian_kd", "overrides": settings, "inputs": pairs}
    work = Work.parse(described | {"output": f"{place.root}/{job}"} | changes, "test")
    given = offered.Cluster(
        namespace=place.namespace, job=job, service_account="default", secrets=secrets, config_maps=config_maps
    )
    place.cluster.api.create(jobset(Launch(work, Placement(resource="cpu_tiny"), Execution(), IMAGE), given))
    return job


@pytest.fixture(scope="module")
def jobs(place: Place, pairs: dict[str, str]) -> Iterator[dict[int, str]]:
    """A job for every permanent exit code; they run beside each other."""
    yield {
        64: submitted(place, pairs, "wrong", expect_digest="0" * 64),
        65: submitted(place, pairs, "missing", inputs=pairs | {"pairs": f"{place.root}/nothing"}),
        70: submitted(place, pairs, "diverges", "optimisation.student.lr=1e30"),
        71: submitted(place, pairs, "large", "train.global_batch=100000000"),
    }


@pytest.mark.parametrize("code", [64, 65, 70, 71])
def test_a_permanent_error_ends_the_job_at_once_without_a_second_pod(
    code: int, jobs: dict[int, str], place: Place
) -> None:
    ended = place.ended(jobs[code])
    assert holds(ended, "Failed")
    mine, theirs = _pods(place, jobs[code]), _jobs(place, jobs[code])
    assert (exit_code(theirs, mine), len(mine)) == (code, 1)


def test_the_pod_of_a_failed_job_tells_the_one_line(jobs: dict[int, str], place: Place) -> None:
    place.ended(jobs[65])
    shown = place.command("torchx", "--log_level", "ERROR", "status", f"jobset://torchx/{place.namespace}:{jobs[65]}")
    assert f"error: {place.root}/nothing: wanted" in shown.stdout


def test_an_eviction_is_not_counted_and_the_work_goes_on(place: Place, pairs: dict[str, str]) -> None:
    job = submitted(place, pairs, "evicted", LONG)
    [first] = place.cluster.watch_until(
        "pods", lambda found: any(map(_runs, found.values())), place.namespace, selector=_of(job)
    )
    place.cluster.wait_for_line(first, r"step=\d+", place.namespace)
    evict: Object = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": first, "namespace": place.namespace},
    }
    place.cluster.api.call("POST", f"/api/v1/namespaces/{place.namespace}/pods/{first}/eviction", evict)
    place.cluster.wait_gone("pods", first, place.namespace)
    [second] = place.cluster.watch_until(
        "pods", lambda found: any(map(_runs, found.values())), place.namespace, selector=_of(job)
    )
    place.cluster.wait_for_line(second, r"after=[1-9]", place.namespace)  # from the checkpoint that it left
    assert _failed(place, job) == 0
    place.cluster.api.delete("jobsets.v1alpha2.jobset.x-k8s.io", job, place.namespace)


def test_a_job_without_its_secret_tries_again_and_ends_well_once_there_is_one(
    place: Place, pairs: dict[str, str]
) -> None:
    keys, where = dict[str, str](), dict[str, str]()
    for name, value in place.storage.environment(in_pods=True).items():
        (where if name in ("AWS_REGION", "AWS_ENDPOINT_URL") else keys)[name] = value
    _apply(place, {"kind": "ConfigMap", "metadata": {"name": "address"}, "data": where})
    few = ("train.steps=2", "train.global_batch=4")
    job = submitted(place, pairs, "without-keys", *few, config_maps=("address",), secrets=(LATER,))
    place.cluster.watch_until("pods", lambda found: 74 in _codes(found), place.namespace, selector=_of(job))
    _apply(place, {"kind": "Secret", "metadata": {"name": LATER}, "stringData": keys})
    assert holds(place.ended(job), "Completed")
    assert find_artifact(f"{place.root}/{job}") is not None


def test_a_crash_is_counted_and_its_pod_made_again_after_a_back_off(place: Place, pairs: dict[str, str]) -> None:
    where = {"name": BROKEN, "namespace": place.namespace}
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": where, "data": {"PYTHONHASHSEED": "broken"}}
    place.cluster.api.apply(made)
    job = submitted(place, pairs, "crashes", config_maps=(BROKEN,))
    found = place.cluster.watch_until("pods", lambda found: len(found) == 2, place.namespace, selector=_of(job))
    assert sorted(pods.exit_codes(one) for one in found.values())[-1] == (1,)
    place.cluster.wait_for(
        "jobs.v1.batch", f"{job}-trainer-0", lambda one: one["status"].get("failed", 0) >= 1, place.namespace
    )
    place.cluster.api.delete("jobsets.v1alpha2.jobset.x-k8s.io", job, place.namespace)


def _apply(place: Place, made: Object) -> None:
    metadata = made["metadata"] | {"namespace": place.namespace}
    place.cluster.api.apply(made | {"apiVersion": "v1", "metadata": metadata})


def _codes(found: Mapping[str, Object]) -> set[int]:
    return {code for one in found.values() for code in pods.exit_codes(one)}


def _of(job: str) -> str:
    return f"fastgen-k8s.github.io/job={job}"


def _runs(pod: Object) -> bool:
    return pods.phase(pod) == "Running" and "deletionTimestamp" not in pod["metadata"]


def _pods(place: Place, job: str) -> list[Object]:
    return list(place.cluster.api.list("pods", place.namespace, _of(job)).values())


def _jobs(place: Place, job: str) -> list[Object]:
    return list(
        place.cluster.api.list("jobs.v1.batch", place.namespace, f"jobset.sigs.k8s.io/jobset-name={job}").values()
    )


def _failed(place: Place, job: str) -> int:
    return sum(one.get("status", {}).get("failed", 0) for one in _jobs(place, job))
