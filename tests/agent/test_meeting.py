"""Where agents meet, and what their workers are told."""

import pytest

from fastgen_k8s.agent.meeting import Alone, Elastic, WorkerGroup
from fastgen_k8s.errors import Misdescribed

THERE = {"PET_RDZV_ENDPOINT": "localhost:1", "PET_RDZV_ID": "run"}


def test_a_worker_is_told_its_place() -> None:
    assert WorkerGroup(4, 8, "node-0", 1234).environment(local_rank=1) == {
        "RANK": "5",
        "WORLD_SIZE": "8",
        "LOCAL_RANK": "1",
        "MASTER_ADDR": "node-0",
        "MASTER_PORT": "1234",
    }


def test_a_single_node_is_a_group_of_its_own() -> None:
    group = Alone(3).next()
    assert (group.first_rank, group.world, group.address) == (0, 3, "localhost")


@pytest.mark.parametrize("missing", ["PET_RDZV_ENDPOINT", "PET_RDZV_ID"])
def test_several_nodes_want_a_place_to_meet(missing: str) -> None:
    with pytest.raises(Misdescribed, match=f"more than one node wants {missing}"):
        Elastic(1, 2, 1, {name: value for name, value in THERE.items() if name != missing})


@pytest.mark.parametrize("text", ["join_timeout", "=3", "join_timeout=", "a=1,b"])
def test_settings_of_the_rendezvous_are_key_and_value(text: str) -> None:
    with pytest.raises(Misdescribed, match="PET_RDZV_CONF: wanted key=value"):
        Elastic(1, 2, 1, THERE | {"PET_RDZV_CONF": text})


@pytest.mark.parametrize("name", ["join_timeout", "last_call_timeout", "keep_alive_max_attempt"])
def test_times_of_the_rendezvous_are_numbers(name: str) -> None:
    with pytest.raises(Misdescribed, match=f"PET_RDZV_CONF: wanted a whole number as {name}, found 'soon'"):
        Elastic(1, 2, 1, THERE | {"PET_RDZV_CONF": f"{name}=soon"})


def test_settings_of_the_rendezvous_override_the_defaults() -> None:
    meeting = Elastic(1, 2, 1, THERE | {"PET_RDZV_CONF": "join_timeout=7,close_timeout=8"})
    assert (meeting.habits["join_timeout"], meeting.habits["close_timeout"]) == ("7", "8")
