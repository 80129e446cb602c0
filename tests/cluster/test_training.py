"""Level D: the trainer's image on two nodes."""

from collections.abc import Iterator

import pytest

from tests.cluster import jobsets
from tests.cluster.cluster import Cluster
from tests.cluster.images import TRAINER_IMAGE
from tests.cluster.jobsets import pod, single

pytestmark = pytest.mark.cluster

ADDING = """
import os
import torch
import torch.distributed as group
name, _, rest = os.environ["HOSTNAME"].partition("-trainer-")
group.init_process_group("gloo", init_method=f"tcp://{name}-trainer-0-0.{name}:29500", rank=int(rest[0]), world_size=2)
mine = torch.full((4,), 1.0 + group.get_rank())
group.all_reduce(mine)
assert mine.tolist() == [3.0] * 4, mine
group.destroy_process_group()
"""


@pytest.fixture
def namespace(training: Cluster) -> Iterator[str]:
    with training.namespace("training") as made:
        yield made


@pytest.mark.parametrize("name", ["node1", "node2"])
def test_the_trainers_image_runs_on_each_node(training: Cluster, namespace: str, name: str) -> None:
    command = ["python", "-c", "import torch; print('sum', int(torch.ones(3).sum()))"]
    training.api.create(single("adding", namespace, pod(command, image=TRAINER_IMAGE) | {"nodeName": name}))
    training.wait_for_line("adding", "sum 3", namespace)


def test_two_trainers_on_two_nodes_add_their_tensors(training: Cluster, namespace: str) -> None:
    made = jobsets.jobset("adding", namespace, trainers=2, command=["python", "-u", "-c", ADDING])
    training.api.create(jobsets.spread(jobsets.with_image(made, TRAINER_IMAGE)))
    training.wait_for(jobsets.RESOURCE, "adding", jobsets.completed, namespace)
