"""Levels A and B: an API server that answers, kinds that it serves, controllers that act."""

import pytest

from tests.cluster import jobsets, kwok
from tests.cluster.api import Object, Refused
from tests.cluster.cluster import Cluster

pytestmark = pytest.mark.cluster


def test_the_api_server_says_the_version_that_it_was_built_from(api: Cluster) -> None:
    assert api.kubectl("version")["serverVersion"]["gitVersion"] == "v1.34.4"


def test_a_jobset_runs_its_pods_to_the_end_on_a_node_without_a_kubelet(kwok_node: Cluster) -> None:
    with kwok_node.namespace("without-kubelet") as namespace:
        made = jobsets.jobset("counting", namespace, trainers=2, command=["true"])
        made = jobsets.placed(made, kwok.SELECTOR, [kwok.TOLERATION])
        kwok_node.api.create(made)
        kwok_node.wait_for(jobsets.RESOURCE, "counting", jobsets.completed, namespace)


NODE_POOL: Object = {
    "apiVersion": "karpenter.sh/v1",
    "kind": "NodePool",
    "metadata": {"name": "pool"},
    "spec": {
        "template": {
            "spec": {
                "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "pool"},
                "requirements": [],
                "expireAfter": "Never",
            }
        },
        "disruption": {"consolidationPolicy": "WhenEmpty", "consolidateAfter": "5m"},
    },
}


def test_a_node_pool_is_accepted(kinds: Cluster) -> None:
    assert kinds.api.apply(NODE_POOL, dryRun="All")["spec"]["template"]["spec"]["expireAfter"] == "Never"


def test_a_node_pool_with_an_unknown_policy_is_refused(kinds: Cluster) -> None:
    wrong = {**NODE_POOL, "spec": {**NODE_POOL["spec"], "disruption": {"consolidationPolicy": "Sometimes"}}}
    with pytest.raises(Refused, match="consolidationPolicy"):
        kinds.api.apply(wrong, dryRun="All")
