"""What no backend takes: each refused in one line before anything is created."""

from typing import Any

import pytest

from fastgen_k8s.errors import Misdescribed
from tests.launch.rendered import BACKENDS, TRAIN, rendered

pytestmark = pytest.mark.parametrize("backend", BACKENDS)


@pytest.mark.parametrize(
    ("placement", "cluster", "said"),
    [
        ({"nodes": "3:1"}, {}, "wanted min:max nodes, found min 3 above max 1"),
        ({"nodes": "0"}, {}, "nodes: string should match pattern"),
        ({"processes": 0}, {}, "processes: input should be greater than 0"),
        ({"micro_batch": 0}, {}, "micro_batch: input should be greater than 0"),
        ({"grace": -1}, {}, "grace: input should be greater than 0"),
        ({"resource": "h100_9"}, {}, "unknown resource 'h100_9': did you mean 'h100_8'"),
        ({"resource": "l40s_1", "processes": 2}, {}, "wanted at most 1 processes on a node of resource 'l40s_1'"),
        ({"pool": "Big Pool"}, {}, "pool: string should match pattern"),
        ({"nodes": "999"}, {}, "wanted at most train.global_batch"),
        ({}, {"job": "a" * 43}, "job: string should have at most 42 characters"),
        ({}, {"job": "1st"}, "job: string should match pattern"),
        ({}, {"job": "a.b"}, "job: string should match pattern"),
        ({}, {"namespace": "Big"}, "namespace: string should match pattern"),
        ({}, {"queue": "a_b"}, "queue: string should match pattern"),
        ({}, {"ttl": -1}, "ttl: input should be greater than or equal to 0"),
        ({}, {"deadline": 0}, "deadline: input should be greater than 0"),
        ({}, {"cache_gib": 0}, "cache_gib: input should be greater than 0"),
        ({}, {"tolerations": [{"key": "a", "effect": "Never"}]}, "tolerations.0.effect: input should be"),
        ({}, {"service_account": ""}, "service_account: string should match pattern"),
        ({}, {"secrets": ["A"]}, "secrets.0: string should match pattern"),
        ({}, {"node_selector": {"a b": "c"}}, "node_selector.a b"),
        ({}, {"labels": {"a": "b c"}}, "labels.a"),
        ({}, {"quue": "a"}, "unknown setting 'quue': did you mean 'queue'"),
    ],
)
def test_a_bad_placement_is_refused_in_one_line(
    backend: str, placement: dict[str, Any], cluster: dict[str, Any], said: str
) -> None:
    with pytest.raises(Misdescribed) as refused:
        rendered(backend, cluster=cluster, **placement)
    assert said in str(refused.value)


@pytest.mark.parametrize("image", ["trainer", "trainer:latest", "host:5000/trainer", "host:5000/a/trainer:latest"])
def test_an_image_that_may_change_under_its_name_is_refused(backend: str, image: str) -> None:
    with pytest.raises(Misdescribed, match="image: wanted a tag of its own"):
        rendered(backend, image=image)


def test_a_cluster_wants_an_image(backend: str) -> None:
    with pytest.raises(Misdescribed, match=r"image: wanted what .* \(--image, or FASTGEN_IMAGE\), found none"):
        rendered(backend, image="")


@pytest.mark.parametrize("place", ["runs/pairs", "/data/pairs", "file:///data/pairs", "gs://bucket/pairs"])
@pytest.mark.parametrize("what", ["output", "pairs"])
def test_a_place_on_one_machine_is_refused(backend: str, what: str, place: str) -> None:
    change = {"output": place} if what == "output" else {"inputs": {"pairs": place}}
    with pytest.raises(Misdescribed, match=f"{what}: wanted a place that every pod reaches .*, found '{place}'"):
        rendered(backend, TRAIN.model_copy(update=change))


def test_what_the_image_ships_is_an_input_and_never_an_output(backend: str) -> None:
    shipped = "examples/moving_shapes/teacher"
    assert rendered(backend, TRAIN.model_copy(update={"inputs": {"teacher": shipped}}))
    with pytest.raises(Misdescribed, match="output: wanted a place that every pod reaches"):
        rendered(backend, TRAIN.model_copy(update={"output": shipped}))
