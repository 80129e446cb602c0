"""The controller's Deployment is what two replicas with one Lease need, and what its command line says."""

import base64
import json
from typing import Any

import pytest

from fastgen_k8s import __version__
from fastgen_k8s.controller.serve import main
from tests.manifests.network import selects
from tests.manifests.render import OVERLAYS, Object, render, said

NAME = "fastgen-controller"
PROBES = {"readinessProbe": "/readyz", "livenessProbe": "/healthz"}
REPLICAS = {"overlays/kind": 1, "overlays/eks": 2, "overlays/gke": 2}
STORE = {"configMapRef": "fastgen-storage", "secretRef": "fastgen-s3-reader"}
OWN = "fastgen-system"


def of_kind(kind: str, folder: str = "base") -> Object:
    """The controller's object of a kind, in its own namespace."""
    mine = [made for made in render(folder) if made["metadata"].get("namespace") == OWN]
    [found] = [made for made in mine if (made["kind"], made["metadata"]["name"]) == (kind, NAME)]
    return found


DEPLOYMENT: Object = of_kind("Deployment")["spec"]
POD: Object = DEPLOYMENT["template"]["spec"]
[CONTAINER] = POD["containers"]
ENVIRONMENT: dict[str, Any] = {one["name"]: one for one in CONTAINER["env"]}


def flags(folder: str = "base") -> dict[str, str]:
    """What the controller is told, by flag."""
    [container] = of_kind("Deployment", folder)["spec"]["template"]["spec"]["containers"]
    return dict(word.removeprefix("--").split("=", 1) for word in container["args"])


def test_the_image_is_this_versions() -> None:
    assert CONTAINER["image"] == f"fastgen-k8s/controller:{__version__}"


@pytest.mark.parametrize("folder", OVERLAYS)
def test_every_overlay_runs_this_version(folder: str) -> None:
    [container] = of_kind("Deployment", folder)["spec"]["template"]["spec"]["containers"]
    assert container["image"].endswith(f"fastgen-k8s/controller:{__version__}")


@pytest.mark.parametrize(("folder", "replicas"), REPLICAS.items())
def test_a_cluster_of_several_machines_has_two_replicas(folder: str, replicas: int) -> None:
    assert of_kind("Deployment", folder)["spec"]["replicas"] == replicas


@pytest.mark.parametrize(("probe", "path"), PROBES.items())
def test_a_probe_asks_the_port_of_the_metrics(probe: str, path: str) -> None:
    assert CONTAINER[probe]["httpGet"] == {"path": path, "port": "metrics"}


def test_there_is_one_port_and_the_program_is_told_it() -> None:
    assert [(port["name"], str(port["containerPort"])) for port in CONTAINER["ports"]] == [("metrics", flags()["port"])]


def test_an_upgrade_takes_nobody_away_before_somebody_is_ready() -> None:
    assert DEPLOYMENT["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_no_wish_about_nodes_can_keep_a_replica_from_being_placed() -> None:
    wishes = {one["topologyKey"]: one["whenUnsatisfiable"] for one in POD["topologySpreadConstraints"]}
    assert wishes == dict.fromkeys(["kubernetes.io/hostname", "topology.kubernetes.io/zone"], "ScheduleAnyway")
    assert "affinity" not in POD


def test_replicas_are_spread_and_held_by_the_labels_that_they_have() -> None:
    spreads = [one["labelSelector"] for one in POD["topologySpreadConstraints"]]
    selectors = [DEPLOYMENT["selector"], of_kind("PodDisruptionBudget")["spec"]["selector"], *spreads]
    assert all(selects(one, DEPLOYMENT["template"]["metadata"]["labels"]) for one in selectors)


def test_a_drain_takes_one_replica_at_a_time_also_where_there_is_one() -> None:
    spec = of_kind("PodDisruptionBudget")["spec"]
    assert (spec["maxUnavailable"], "minAvailable" in spec) == (1, False)


def test_there_is_time_to_give_the_lease_up() -> None:
    assert POD["terminationGracePeriodSeconds"] >= 3 * 10  # of which it takes 10 at most


def test_each_replica_signs_the_lease_with_a_name_of_its_own() -> None:
    assert ENVIRONMENT["POD_NAME"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_it_may_hold_the_lease_that_it_asks_for() -> None:
    named = [rule["resourceNames"] for rule in of_kind("Role")["rules"] if "resourceNames" in rule]
    assert named == [[flags()["lease"]]]


def test_it_acts_among_the_jobs_and_keeps_its_lease_in_its_own_namespace() -> None:
    assert (flags()["namespace"], flags()["lease-namespace"]) == ("fastgen", "$(POD_NAMESPACE)")
    assert ENVIRONMENT["POD_NAMESPACE"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}


def test_it_must_be_told_where_it_acts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert (ended.value.code != 0, "--namespace" in capsys.readouterr().err) == (True, True)


def test_it_looks_for_roots_where_their_map_is_mounted_if_there_is_one() -> None:
    [volume] = [one for one in POD["volumes"] if "configMap" in one]
    assert volume["configMap"] == {"name": "fastgen-roots", "optional": True}
    places = {one["name"]: one["mountPath"] for one in CONTAINER["volumeMounts"]}
    assert flags()["roots"] == places[volume["name"]]


@pytest.mark.parametrize("flag", ["pairs-priority-class", "training-priority-class"])
def test_the_priorities_of_its_jobs_are_there(flag: str) -> None:
    assert flags()[flag] in {made["metadata"]["name"] for made in render("base") if made["kind"] == "PriorityClass"}


def test_it_finds_the_store_where_trainers_do_by_a_key_of_its_own() -> None:
    found = {kind: ref for source in CONTAINER["envFrom"] for kind, ref in source.items()}
    assert found == {kind: {"name": name, "optional": True} for kind, name in STORE.items()}


def test_whatever_it_writes_goes_to_the_volume_at_tmp() -> None:
    places = {ENVIRONMENT[name]["value"] for name in ("HOME", "FASTGEN_CACHE")}
    assert {"name": "tmp", "mountPath": "/tmp"} in CONTAINER["volumeMounts"]
    assert [mount["name"] for mount in CONTAINER["volumeMounts"] if not mount.get("readOnly")] == ["tmp"]
    assert all(f"{place}/".startswith("/tmp/") for place in places)


def test_its_cache_is_smaller_than_the_volume_that_it_is_in() -> None:
    [volume] = [one for one in POD["volumes"] if "emptyDir" in one]
    assert int(ENVIRONMENT["FASTGEN_CACHE_GIB"]["value"]) < int(volume["emptyDir"]["sizeLimit"].removesuffix("Gi"))


def test_its_memory_has_a_limit_and_its_cpu_has_none() -> None:
    assert CONTAINER["resources"]["limits"].keys() == {"memory", "ephemeral-storage"}
    assert CONTAINER["resources"]["limits"]["memory"] == "512Mi"


def test_no_trainer_takes_its_place() -> None:
    classes = {made["metadata"]["name"]: made["value"] for made in render("base") if made["kind"] == "PriorityClass"}
    assert classes[POD["priorityClassName"]] == max(classes.values())


@pytest.mark.parametrize("folder", OVERLAYS)
def test_jobs_and_controller_are_told_the_same_of_the_store(folder: str) -> None:
    told = [made["data"] for made in render(folder) if said(made) == "ConfigMap/fastgen-storage"]
    assert told == [told[0]] * 2


def test_the_toy_clusters_controller_has_the_key_that_only_reads() -> None:
    secrets = {
        made["metadata"]["name"]: {name: base64.b64decode(value).decode() for name, value in made["data"].items()}
        for made in render("overlays/kind")
        if made["kind"] == "Secret"
    }
    [identity] = json.loads(secrets["fastgen-s3-readers"]["s3.json"])["identities"]
    mine = secrets["fastgen-s3-reader"]
    assert identity["credentials"] == [
        {"accessKey": mine["AWS_ACCESS_KEY_ID"], "secretKey": mine["AWS_SECRET_ACCESS_KEY"]}
    ]
    assert identity["actions"] == ["Read", "List"]
    assert mine["AWS_ACCESS_KEY_ID"] != secrets["fastgen-s3"]["AWS_ACCESS_KEY_ID"]
