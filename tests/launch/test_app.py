"""A work as a TorchX application: its arguments, its environment, and what is refused."""

import pytest

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.launch.app import app
from fastgen_k8s.launch.resources import RESOURCES, resource
from fastgen_k8s.pipeline.argv import parse
from fastgen_k8s.pipeline.work import GRACE, KINDS, Execution, Kind, Placement, Work

WORK = Work(
    kind="train",
    experiment="closed_form/gaussian_kd",
    overrides=("train.global_batch=6",),
    inputs={"pairs": "there"},
    output="out",
)


def test_the_agent_reads_back_what_it_was_told() -> None:
    execution = Execution(save_every=3, trackers=())
    [role] = app(WORK, Placement(micro_batch=2), execution).roles
    assert [role.entrypoint, *role.args[:2]] == ["python", "-m", "fastgen_k8s.agent"]
    assert parse(role.args[2:]) == (WORK, 2, execution)


def test_the_same_work_is_the_same_application() -> None:
    assert app(WORK, Placement(nodes="1:2"), Execution()) == app(WORK, Placement(nodes="1:2"), Execution())


def test_habits_and_places_are_no_part_of_the_work() -> None:
    [role] = app(WORK, Placement(processes=2, resource="h100_8"), Execution(keep=5)).roles
    assert parse(role.args[2:])[0] == WORK


@pytest.mark.parametrize(("nodes", "most", "least"), [("1", 1, None), ("3", 3, None), ("1:3", 3, 1), ("3:3", 3, None)])
def test_there_is_one_agent_a_node(nodes: str, most: int, least: int | None) -> None:
    [role] = app(WORK, Placement(nodes=nodes), Execution()).roles
    assert (role.num_replicas, role.min_replicas) == (most, least)


def test_an_agent_alone_needs_no_rendezvous() -> None:
    [role] = app(WORK, Placement(processes=2), Execution()).roles
    assert role.env == {"OMP_NUM_THREADS": "1", "PET_NNODES": "1", "PET_NPROC_PER_NODE": "2", GRACE: "60"}


@pytest.mark.parametrize("nodes", ["1", "2"])
def test_every_agent_is_told_how_long_its_workers_may_take_to_end(nodes: str) -> None:
    [role] = app(WORK, Placement(nodes=nodes, grace=300), Execution()).roles
    assert role.env[GRACE] == "300"


def test_agents_of_one_work_meet_at_one_place_and_those_of_others_elsewhere() -> None:
    def meeting(work: Work) -> tuple[str, str]:
        [role] = app(work, Placement(nodes="2"), Execution()).roles
        return role.env["PET_RDZV_ID"], role.env["PET_RDZV_ENDPOINT"]

    assert meeting(WORK) == meeting(WORK)
    assert meeting(WORK) != meeting(WORK.model_copy(update={"output": "other"}))


@pytest.mark.parametrize(
    ("nodes", "processes", "refused"),
    [("1", 6, False), ("1", 7, True), ("2", 3, False), ("2", 4, True), ("1:2", 3, False), ("1:7", 1, True)],
)
def test_only_a_world_larger_than_the_global_batch_is_refused(nodes: str, processes: int, refused: bool) -> None:
    placement = Placement(nodes=nodes, processes=processes)
    if not refused:
        assert app(WORK, placement, Execution())
        return
    with pytest.raises(Misdescribed, match=r"at most train.global_batch = 6 processes, found"):
        app(WORK, placement, Execution())


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not KINDS[kind].elastic])
def test_a_stage_without_a_global_batch_may_have_any_number_of_workers(kind: Kind) -> None:
    work = Work(kind=kind, experiment="closed_form/gaussian_kd", output="out")
    assert app(work, Placement(processes=999), Execution())


@pytest.mark.parametrize("name", [None, *RESOURCES])
def test_a_resource_has_a_name(name: str | None) -> None:
    [role] = app(WORK, Placement(resource=name), Execution()).roles
    assert role.resource == resource(name)


def test_an_unknown_resource_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(Misdescribed, match="did you mean 'h100_8'"):
        app(WORK, Placement(resource="h100_9"), Execution())


def test_an_unknown_experiment_is_refused_before_anything_is_launched() -> None:
    with pytest.raises(Misdescribed, match="unknown experiment"):
        app(WORK.model_copy(update={"experiment": "nothing"}), Placement(), Execution())
