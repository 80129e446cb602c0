"""A launch as a TorchX application and back: arguments, environment, what a component adds, what is refused."""
# pyright: reportMissingTypeStubs=false

from typing import Any

import pytest
from torchx.specs import AppDef, BindMount, Resource, Role, VolumeMount

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.launch.app import app, launch_of
from fastgen_k8s.launch.cluster import Cluster
from fastgen_k8s.launch.launch import Launch
from fastgen_k8s.launch.resources import RESOURCES, resource
from fastgen_k8s.pipeline.argv import parse
from fastgen_k8s.pipeline.kinds import KINDS, Kind
from fastgen_k8s.pipeline.work import GRACE, Execution, Placement, Work
from tests.launch.rendered import BACKENDS, TRAIN, container, environment, pods

WORK = Work(
    kind="train",
    experiment="closed_form/gaussian_kd",
    overrides=("train.global_batch=6",),
    inputs={"pairs": "there"},
    output="out",
)


def test_the_agent_reads_back_what_it_was_told() -> None:
    execution = Execution(save_every=3, trackers=())
    [role] = app(Launch(WORK, Placement(micro_batch=2), execution)).roles
    assert [role.entrypoint, *role.args[:2]] == ["python", "-m", "fastgen_k8s.agent"]
    assert parse(role.args[2:]) == (WORK, 2, execution)


def test_the_same_work_is_the_same_application() -> None:
    launch = Launch(WORK, Placement(nodes="1:2"), Execution())
    assert app(launch) == app(Launch(WORK, Placement(nodes="1:2"), Execution()))


def test_habits_and_places_are_no_part_of_the_work() -> None:
    [role] = app(Launch(WORK, Placement(processes=2, resource="h100_8"), Execution(keep=5))).roles
    assert parse(role.args[2:])[0] == WORK


@pytest.mark.parametrize(("nodes", "most", "least"), [("1", 1, None), ("3", 3, None), ("1:3", 3, 1), ("3:3", 3, None)])
def test_there_is_one_agent_a_node(nodes: str, most: int, least: int | None) -> None:
    [role] = app(Launch(WORK, Placement(nodes=nodes), Execution())).roles
    assert (role.num_replicas, role.min_replicas) == (most, least)


def test_an_agent_alone_needs_no_rendezvous() -> None:
    [role] = app(Launch(WORK, Placement(processes=2), Execution())).roles
    assert role.env == {"OMP_NUM_THREADS": "1", "PET_NNODES": "1", "PET_NPROC_PER_NODE": "2", GRACE: "60"}


@pytest.mark.parametrize("nodes", ["1", "2"])
def test_every_agent_is_told_how_long_its_workers_may_take_to_end(nodes: str) -> None:
    [role] = app(Launch(WORK, Placement(nodes=nodes, grace=300), Execution())).roles
    assert role.env[GRACE] == "300"


def test_agents_of_one_work_meet_at_one_place_and_those_of_others_elsewhere() -> None:
    def meeting(work: Work) -> tuple[str, str]:
        [role] = app(Launch(work, Placement(nodes="2"), Execution())).roles
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
        assert Launch(WORK, placement, Execution())
        return
    with pytest.raises(Misdescribed, match=r"at most train.global_batch = 6 processes, found"):
        Launch(WORK, placement, Execution())


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not KINDS[kind].elastic])
def test_a_stage_without_a_global_batch_may_have_any_number_of_workers(kind: Kind) -> None:
    work = Work(kind=kind, experiment="closed_form/gaussian_kd", output="out")
    assert Launch(work, Placement(processes=999), Execution())


@pytest.mark.parametrize("name", [None, *RESOURCES])
def test_a_resource_has_a_name(name: str | None) -> None:
    [role] = app(Launch(WORK, Placement(resource=name), Execution())).roles
    wanted = resource(name)
    assert role.resource == Resource(cpu=wanted.cpu, gpu=wanted.gpu, memMB=wanted.memory)


def test_an_unknown_resource_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(Misdescribed, match="did you mean 'h100_8'"):
        Launch(WORK, Placement(resource="h100_9"), Execution())


def test_an_unknown_experiment_is_refused_before_anything_is_launched() -> None:
    with pytest.raises(Misdescribed, match="unknown experiment"):
        Launch(WORK.model_copy(update={"experiment": "nothing"}), Placement(), Execution())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "placement",
    [
        Placement(),
        Placement(nodes="3", processes=2, micro_batch=2),
        Placement(nodes="1:3", resource="h100_8", grace=120, pool="spot"),
    ],
)
def test_torchx_puts_into_a_cluster_what_the_controller_would(backend: str, placement: Placement) -> None:
    launch, cluster = Launch(TRAIN, placement, Execution(keep=5), "trainer:1"), Cluster(namespace="team", ttl=60)
    render = BACKENDS[backend].render
    assert render(launch_of(app(launch), cluster), cluster) == render(launch, cluster)


@pytest.fixture
def role() -> Role:
    """What a component may change."""
    [role] = app(Launch(TRAIN, Placement(nodes="2"), Execution(), "trainer:1")).roles
    return role


def put(role: Role, backend: str = "jobset") -> dict[str, Any]:
    """The object that an application of this role becomes."""
    cluster = Cluster(namespace="team", job="kd")
    return BACKENDS[backend].render(launch_of(AppDef("train", roles=[role]), cluster), cluster)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("OMP_NUM_THREADS", "4", "4"),
        ("WANDB_MODE", "offline", "offline"),
        ("COSTS", "$$5", "$$5"),  # TorchX reads it, then the kubelet
        ("TORCHX_JOB_ID", "any://torchx/${app_id}", "any://torchx/team:kd"),  # as TorchX's runner does
    ],
)
def test_a_variable_of_a_component_reaches_the_pod(
    role: Role, backend: str, name: str, value: str, wanted: str
) -> None:
    role.env[name] = value
    assert environment(put(role, backend))[name] == wanted


def test_a_volume_of_a_component_is_mounted_and_reached_by_every_pod(role: Role) -> None:
    role.mounts.append(VolumeMount("data", "/data", read_only=True))
    role.args.extend(["--output", "/data/out"])
    made = put(role)
    assert container(made)["volumeMounts"][-1] == {"name": "claim-0", "mountPath": "/data", "readOnly": True}
    [*_, volume] = pods(made)["trainer"]["spec"]["volumes"]
    assert volume == {"name": "claim-0", "persistentVolumeClaim": {"claimName": "data"}}


def test_a_folder_of_a_node_is_refused(role: Role) -> None:
    role.mounts.append(BindMount("/data", "/data"))
    with pytest.raises(Misdescribed, match="a pod mounts claims"):
        put(role)


def test_a_device_of_a_component_is_held_for_the_pod(role: Role) -> None:
    role.resource = Resource(cpu=2, gpu=0, memMB=4096, devices={"vpc.amazonaws.com/efa": 4})
    assert container(put(role))["resources"]["limits"]["vpc.amazonaws.com/efa"] == "4"


def test_a_component_may_say_another_image_python_setting_and_number_of_nodes(role: Role) -> None:
    role.image, role.entrypoint, role.num_replicas = "mine:2", "python3", 3
    role.args.extend(["--set", "report.title=$$5"])
    made = put(role)
    told = container(made)
    assert (told["image"], told["command"][0], "report.title=$$5" in told["command"]) == ("mine:2", "python3", True)
    assert [one["replicas"] for one in made["spec"]["replicatedJobs"]] == [1, 3]
