"""What `-cfg` says of a cluster, as TorchX reads it and as it arrives."""
# pyright: reportMissingTypeStubs=false

from typing import Any

import pytest

from fastgen_k8s.launch.cluster import Cluster
from fastgen_k8s.launch.scheduler import cluster, options


def test_whatever_a_cluster_offers_is_an_option_with_a_meaning() -> None:
    known = dict(options())
    assert known.keys() == Cluster.model_fields.keys() - {"labels"}
    assert all(option.help for option in known.values())


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("", {}),
        ("namespace=team,job=kd,ttl=0,suspend=True", {"namespace": "team", "job": "kd", "ttl": 0, "suspend": True}),
        ("secrets=one;two,cache_gib=7", {"secrets": ["one", "two"], "cache_gib": 7}),
        ("node_selector=a:b", {"node_selector": {"a": "b"}}),
        ("tolerations=a;d:NoSchedule", {"tolerations": [{"key": "a"}, {"key": "d", "effect": "NoSchedule"}]}),
    ],
)
def test_an_option_arrives_as_it_was_meant(words: str, wanted: dict[str, Any]) -> None:
    known = options()
    assert cluster(known.resolve(known.cfg_from_str(words))) == Cluster.parse(wanted, "test")


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("a", {"key": "a"}),
        ("a=b", {"key": "a", "value": "b"}),
        ("a=b:NoSchedule", {"key": "a", "value": "b", "effect": "NoSchedule"}),
    ],
)
def test_a_toleration_is_one_word(word: str, wanted: dict[str, str]) -> None:
    assert cluster({"tolerations": [word]}) == Cluster.parse({"tolerations": [wanted]}, "test")
